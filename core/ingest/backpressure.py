"""A limit on the jobs that wait for a worker, past which uploads are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

from core.errors import BacklogError, SeenitError
from core.ports import Blobs

SECONDS = 1.0
"""Seconds for which a count is reused: uploads may come by the thousand."""


class BacklogLimit:
    """Limits on the waiting jobs of all and of each tenant; safe for use by threads.

    Jobs are counted at most once a second.
    """

    def __init__(
        self,
        depth: Callable[[str | None], int],
        most: int,
        *,
        each: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Refuse at `most` jobs in all, and a tenant at `each`, if given.

        `depth` counts the waiting jobs of a tenant, or of all for None, or raises SeenitError.
        """
        self._most = most
        self._each = each
        self._new = partial(_Count, depth, clock)
        self._counts: dict[str | None, _Count] = {}

    def check(self, tenant: str) -> None:
        """Raise BacklogError if a limit is reached; it says nothing of other tenants' jobs.

        If the count fails, uploads are accepted: the sweeper finds them in `pending/`.
        """
        if self._each is not None and self._count(tenant) >= self._each:
            raise BacklogError(
                f"Too many of your jobs are queued (limit {self._each}, SEENIT_BACKLOG_SHARE of "
                "SEENIT_BACKLOG); retry later."
            )
        if self._count(None) >= self._most:
            raise BacklogError(
                f"Too many jobs are queued (limit SEENIT_BACKLOG={self._most}); retry later."
            )

    def _count(self, tenant: str | None) -> int:
        if tenant not in self._counts:
            self._counts.setdefault(tenant, self._new(tenant))
        return self._counts[tenant].read()


class _Count:
    """A number of jobs; one thread counts while the others use the last count."""

    def __init__(
        self,
        depth: Callable[[str | None], int],
        clock: Callable[[], float],
        tenant: str | None,
    ) -> None:
        self._depth = depth
        self._tenant = tenant
        self._clock = clock
        self._lock = threading.Lock()
        self._counting = False
        self._again = float("-inf")
        self._known = 0

    def read(self) -> int:
        """Return it, at most a second old; 0 if it cannot be counted."""
        with self._lock:
            mine = not self._counting and self._clock() >= self._again
            self._counting = self._counting or mine
        if mine:
            try:
                self._known = self._depth(self._tenant)
            except SeenitError:
                self._known = 0
            finally:
                self._again = self._clock() + SECONDS
                self._counting = False
        return self._known


def lying(blobs: Blobs, most: int, tenant: str | None = None) -> int:
    """Count the pending jobs of a tenant, or of all, no further than `most`.

    This is the depth where every process has a queue of its own, and only one of them settles.
    """
    tenants = blobs.folders("pending/") if tenant is None else [tenant]
    found = (key for each in tenants for key in blobs.keys(f"pending/{each}/"))
    return sum(1 for _ in islice(found, most))
