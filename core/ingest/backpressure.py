"""A limit on the jobs that wait for a worker, past which uploads are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice

from core.errors import BacklogError, SeenitError
from core.ports import Blobs

SECONDS = 1.0
"""Seconds for which a count is reused: uploads may come by the thousand."""


class BacklogLimit:
    """A limit that counts waiting jobs at most once a second; safe for use by threads."""

    def __init__(
        self,
        depth: Callable[[], int],
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a limit: `depth` counts waiting jobs or raises SeenitError; refuse at `most`."""
        self._depth = depth
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._counting = False
        self._again = float("-inf")
        self._known = 0

    def check(self) -> None:
        """Raise BacklogError if the limit is reached.

        If the count fails, uploads are accepted: the sweeper finds them in `pending/`. One thread
        counts while the others use the last count.
        """
        with self._lock:
            mine = not self._counting and self._clock() >= self._again
            self._counting = self._counting or mine
        if mine:
            try:
                self._known = self._depth()
            except SeenitError:
                self._known = 0
            finally:
                self._again = self._clock() + SECONDS
                self._counting = False
        if self._known >= self._most:
            raise BacklogError(
                f"Too many jobs are queued (limit SEENIT_BACKLOG={self._most}); retry later."
            )


def lying(blobs: Blobs, most: int) -> int:
    """Count the pending jobs of all tenants, no further than `most`.

    This is the depth where every process has a queue of its own, and only one of them settles.
    """
    found = (
        key for tenant in blobs.folders("pending/") for key in blobs.keys(f"pending/{tenant}/")
    )
    return sum(1 for _ in islice(found, most))
