"""Watch over the logs: an end that is gone, a gap or a damaged entry stops its tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from core.errors import LogCorruptError
from core.event_log.tail import BehindError, LogFollower
from core.index_port import ServiceIndex
from core.ports import Log
from core.records import Entry

ENTRIES = 100
"""Entries that one sweep reads at most, over all tenants: each is a request to a bucket."""
TENANTS = 50
"""Tenants that one sweep looks at; the next ones follow in the next sweep."""


def walk_down(log: Log, tenant: str, seq: int) -> Iterator[Entry]:
    """Yield the entries from `seq` down to the first.

    Raise LogCorruptError at one that is missing, unreadable or not the one before the last.
    """
    above: Entry | None = None
    for number in range(seq, 0, -1):
        entry = log.read(tenant, number)
        if entry is None:
            gap = f"the log of {tenant} has a gap at entry {number}"
            gone = f"entry {number} of {tenant} is gone, and the index has it"
            raise LogCorruptError(gone if above is None else gap)
        if above is not None and above.previous != entry.nonce:
            raise LogCorruptError(
                f"the log of {tenant} breaks off: entry {number + 1} does not follow entry {number}"
            )
        yield entry
        above = entry


class LogWatch:
    """Reads every log again, from its end to its beginning, some entries at a time.

    No process reads a log below the watermark until an index is made again from it, and what is
    missing there would be noticed only then, when a back-up may be gone too.
    """

    def __init__(self, log: Log, index: ServiceIndex, follower: LogFollower) -> None:
        self._log = log
        self._index = index
        self._follower = follower
        self._next: list[str] = []
        self._seen: dict[str, tuple[int, int]] = {}
        """Watermark of the last look at each tenant, and the entry down to which it had come."""

    def sweep(self) -> None:
        """Look at the next tenants. Raise StoreUnavailableError, IndexUnavailableError."""
        if not self._next:
            self._next = sorted({*self._log.tenants(), *self._index.tenants()})
        stopped = list(self._follower.faults)[:TENANTS]  # at each sweep: whether they may go on
        now, self._next = self._next[:TENANTS], self._next[TENANTS:]
        left = ENTRIES
        for tenant in dict.fromkeys([*stopped, *now]):
            try:
                left -= self._look(tenant, max(left, 2))
            except LogCorruptError as error:
                self._follower.stop(tenant, error.detail)
            else:
                self._follower.resume(tenant)

    def _look(self, tenant: str, most: int) -> int:
        """Check the entries that are new to this watch, and those below its place in the log.

        Read at most so many of each, and return how many were read.
        """
        watermark = self._index.watermark(tenant)
        top, place = self._seen.get(tenant, (0, 0))
        if not top:  # a gap right after the watermark: no entry below it shows that
            with suppress(BehindError):
                self._follower.follow(tenant)
        read = 0
        for entry in walk_down(self._log, tenant, watermark):
            read += 1
            if not top:
                place = entry.seq
            if entry.seq <= top or read == most:
                break
        if top and read < most:
            below = place if 1 < place <= watermark else watermark
            for entry in islice(walk_down(self._log, tenant, below), most - read):
                place, read = entry.seq, read + 1
                self._seen[tenant] = top, place
        self._seen[tenant] = watermark, place
        return read
