"""How much waits for a worker: past a mark uploads are refused, so that no queue grows for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice

from core.errors import BacklogError, SeenitError
from core.ports import Blobs

SECONDS = 1.0
"""For so long an answer stands: uploads may come by the thousand."""


class BacklogLimit:
    """Asks for the depth at most once a second; safe from several threads."""

    def __init__(
        self,
        depth: Callable[[], int],
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`depth` counts jobs waiting, and may raise a SeenitError; `most` is refused at."""
        self._depth = depth
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._asking = False
        self._again = float("-inf")
        self._known = 0

    def check(self) -> None:
        """Raise BacklogError where no upload can be taken in.

        Who cannot say how much waits refuses nothing: what is accepted is found in `pending/`. One
        thread asks while the others go by what was known.
        """
        if self._take():
            try:
                self._known = self._depth()
            except SeenitError:
                self._known = 0
            finally:
                self._again = self._clock() + SECONDS
                self._asking = False
        if self._known >= self._most:
            raise BacklogError("more waits for a worker than is taken in at once")

    def _take(self) -> bool:
        with self._lock:
            if self._asking or self._clock() < self._again:
                return False
            self._asking = True
            return True


def lying(blobs: Blobs, most: int) -> int:
    """Jobs of all tenants that no entry of the log holds yet, counted no further than `most`.

    Where each process has a queue of its own, this is what waits for the one that works.
    """
    found = (
        key for tenant in blobs.folders("pending/") for key in blobs.keys(f"pending/{tenant}/")
    )
    return sum(1 for _ in islice(found, most))
