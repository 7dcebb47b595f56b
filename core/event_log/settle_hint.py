"""Hint on which thread settles a tenant, so that few append to one log at the same time.

It is never a lock: the log decides. Without it each of several workers reads the others' entries
only once its own append was refused, and decides its batch again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

WAIT_SECONDS = 2.0
"""Longest wait for the others: one whose batch takes longer does not hold them up."""


class SettleHint(Protocol):
    """A place for one settling thread for each tenant."""

    def holding(self, tenant: str) -> AbstractContextManager[bool]:
        """Wait for the place, for a while; yield whether no other had it since the last time."""


class LocalSettleHint:
    """Implements `SettleHint` for the threads of one process."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._last: dict[str, int] = {}

    @contextmanager
    def holding(self, tenant: str) -> Iterator[bool]:
        """Wait for the other threads; go on without them after WAIT_SECONDS."""
        lock, mine = self._locks[tenant], threading.get_ident()
        held = lock.acquire(timeout=WAIT_SECONDS)
        try:
            alone = held and self._last.get(tenant, mine) == mine
            self._last[tenant] = mine
            yield alone
        finally:
            if held:
                lock.release()
