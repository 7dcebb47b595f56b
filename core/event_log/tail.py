"""Tail of the log: the entries after the watermark, and their effects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from core.errors import IndexUnavailableError, LogCorruptError
from core.event_log.decide import apply
from core.event_log.overlay_state import OverlayLayer
from core.index_port import Index
from core.lru_cache import LRUCache
from core.ports import Log
from core.records import FORMAT, Entry, Operation

LONGEST = 4_000
"""Entries of the longest tail: past that the index is too far behind for an overlay."""
TENANTS = 256
"""Tails in the cache, of the tenants last used: each may hold megabytes, and a missing one costs
three reads of the log."""
AHEAD = (*range(2, 17), *(2**n for n in range(5, 12)))
"""Distances from the end of a log at which entries show a gap: narrow ones, and wide ones before as
many entries."""

logger = logging.getLogger(__name__)

_HOLDS, _MATCHES, _REMADE, _BANKS = 2, 3, 4, 5
"""Formats of entries with a held record, with a variant or more confirmed matches than are listed,
with a picture fingerprinted again, and with an entry of a bank."""


class BehindError(IndexUnavailableError):
    """Error of an index that is too far behind the log for an overlay."""


class LogTail(NamedTuple):
    """Log after the watermark at one moment; immutable."""

    tenant: str
    watermark: int
    nonce: str
    """Nonce of the entry at the head, "" if there is none."""
    entries: tuple[Entry, ...]
    layer: OverlayLayer
    at: str = ""
    """Latest time that an entry up to the head bears, "" if there is none."""

    @property
    def head(self) -> int:
        """Return the highest number of the log that was read."""
        return self.watermark + len(self.entries)

    @property
    def lag(self) -> int:
        """Count the entries that the index does not hold yet."""
        return len(self.entries)

    def entry(self, seq: int) -> Entry | None:
        """Return one of the entries, None if it is outside of the tail."""
        n = seq - self.watermark - 1
        return self.entries[n] if 0 <= n < len(self.entries) else None

    def operation(self, job_id: str) -> Operation | None:
        """Return the operation that ended a job."""
        outcome = self.layer.outcomes.get(job_id)
        entry = None if outcome is None else self.entry(outcome.seq)
        return None if entry is None else ending(entry, job_id)

    def plus(self, *entries: Entry) -> LogTail:
        """Append the next entries. Raise LogCorruptError if one does not follow the last."""
        nonce, at, layer = self.nonce, self.at, self.layer.copy()
        for seq, entry in enumerate(entries, self.head + 1):
            check(self.tenant, entry, seq, nonce)
            nonce, at = entry.nonce, max(at, entry.at)
            for operation in entry.operations:
                apply(layer, operation, entry.seq)
        return LogTail(self.tenant, self.watermark, nonce, (*self.entries, *entries), layer, at)

    def since(self, watermark: int) -> LogTail:
        """Drop the entries at or below a watermark within the tail."""
        entries = self.entries[watermark - self.watermark :]
        layer = OverlayLayer()
        for entry in entries:
            for operation in entry.operations:
                apply(layer, operation, entry.seq)
        return LogTail(self.tenant, watermark, self.nonce, entries, layer, self.at)


def check(tenant: str, entry: Entry, seq: int, previous: str) -> None:
    """Check that an entry is the expected one. Raise LogCorruptError."""
    if entry.seq != seq or entry.previous != previous:
        raise LogCorruptError(
            f"the log of {tenant} breaks off: entry {seq} does not follow the last"
        )
    if entry.format > FORMAT:
        raise LogCorruptError(f"entry {seq} of {tenant} was written by a newer version")


def seen(log: Log, tenant: str, seq: int) -> tuple[str, str]:
    """Return nonce and time of an entry that the index holds, "" for 0. Raise LogCorruptError."""
    if not seq:
        return "", ""
    entry = log.read(tenant, seq)
    if entry is None:
        raise LogCorruptError(f"entry {seq} of {tenant} is gone, and the index has it")
    return entry.nonce, entry.at


def format_of(operations: Sequence[Operation]) -> int:
    """Return the oldest format with all of its features, so that an older Seenit stops there."""
    states = [state for operation in operations for state in operation.states]
    if any(state.bank for state in states):
        return _BANKS
    if any(state.remade for state in states):
        return _REMADE
    if any(state.verdict.variants or state.unlisted for state in states):
        return _MATCHES
    return _HOLDS if any(state.hold_until for state in states) else 1


def ending(entry: Entry, job_id: str) -> Operation | None:
    """Return the operation of an entry that ended a job."""
    for operation in entry.operations:
        if operation.last and (
            operation.job == job_id or any(ended.job_id == job_id for ended in operation.also)
        ):
            return operation
    return None


class LogFollower:
    """Follower of every tenant's log; cheap without news; safe from several threads."""

    def __init__(
        self, log: Log, index: Index, *, longest: int = LONGEST, tenants: int = TENANTS
    ) -> None:
        self._log = log
        self._index = index
        self._longest = longest
        self.faults: dict[str, str] = {}
        """Why tenants stand still, by tenant."""
        self._stopped: set[str] = set()
        """Tenants that the watch stopped: their tails alone would not show it."""
        self._tails: LRUCache[str, LogTail] = LRUCache(tenants)

    def tail(self, tenant: str) -> LogTail:
        """Return the present tail.

        Raise StoreUnavailableError, IndexUnavailableError (BehindError if it is too far behind),
        LogCorruptError.
        """
        if tenant in self._stopped and (fault := self.faults.get(tenant)):
            raise LogCorruptError(fault)
        try:
            tail = self.follow(tenant)
        except LogCorruptError as error:
            self._note(tenant, error.detail)
            raise
        self._clear(tenant)
        return tail

    def stop(self, tenant: str, reason: str) -> None:
        """Let every later call for a tenant raise LogCorruptError, until `resume`."""
        self._note(tenant, reason)
        self._stopped.add(tenant)

    def resume(self, tenant: str) -> None:
        """Let a tenant go on if its tail can be followed. Raise as `tail`, but for its faults."""
        self._stopped.discard(tenant)
        if tenant in self.faults:
            with suppress(LogCorruptError):
                self.tail(tenant)

    def _note(self, tenant: str, reason: str) -> None:
        if self.faults.get(tenant) != reason:
            self.faults[tenant] = reason
            logger.error("tenant_stopped", extra={"tenant": tenant, "reason": reason})

    def _clear(self, tenant: str) -> None:
        if self.faults.pop(tenant, None) is not None:
            logger.warning("tenant_resumed", extra={"tenant": tenant})

    def follow(self, tenant: str) -> LogTail:
        """Return the present tail, of a stopped tenant too. Raise as `tail`."""
        watermark = self._index.watermark(tenant)
        held = self._tails.get(tenant)
        if held is not None and held.watermark <= watermark <= held.head:
            rest = held if watermark == held.watermark else held.since(watermark)
            tail = self._read_on(rest)
        else:
            if held is None or watermark < held.watermark:
                self._refuse_longest(tenant, watermark)
            tail = self._start(tenant, watermark)
        return tail if tail is held else self._tails.put(tenant, tail)

    def held(self, tenant: str) -> LogTail | None:
        """Return the last tail that was read."""
        return self._tails.get(tenant)

    def offer(self, tail: LogTail) -> None:
        """Take over a tail that was read, or appended to, elsewhere."""
        held = self._tails.get(tail.tenant)
        if held is None or held.head < tail.head:
            self._tails.put(tail.tenant, tail)

    def passed(self, tenant: str, watermark: int) -> None:
        """Drop the entries up to a watermark of the index from the cache."""
        held = self._tails.get(tenant)
        if held is not None and held.watermark < watermark <= held.head:
            self._tails.put(tenant, held.since(watermark))

    def _start(self, tenant: str, watermark: int) -> LogTail:
        """Read all of the tail, and look once for entries behind a gap at its end."""
        nonce, at = seen(self._log, tenant, watermark)
        tail = self._read_on(LogTail(tenant, watermark, nonce, (), OverlayLayer(), at))
        while any(self._log.taken(tenant, [tail.head + n for n in AHEAD])):
            longer = self._read_on(tail)
            if longer.head == tail.head:
                raise LogCorruptError(f"the log of {tenant} has a gap at entry {tail.head + 1}")
            tail = longer
        return tail

    def _read_on(self, tail: LogTail) -> LogTail:
        """Read head + 1 and so on, until there is no more."""
        fresh: list[Entry] = []
        while True:
            entry = self._log.read(tail.tenant, tail.head + len(fresh) + 1)
            if entry is None:
                return tail.plus(*fresh) if fresh else tail
            fresh.append(entry)
            if tail.lag + len(fresh) > self._longest:
                raise self._behind(tail.tenant)

    def _refuse_longest(self, tenant: str, watermark: int) -> None:
        """Raise BehindError for a tail that is too long, by a look at its last entry.

        If an index was emptied, every reader would otherwise read thousands of entries first.
        """
        if self._log.read(tenant, watermark + self._longest + 1) is not None:
            raise self._behind(tenant)

    def _behind(self, tenant: str) -> BehindError:
        return BehindError(f"the index is over {self._longest} entries behind the log of {tenant}")
