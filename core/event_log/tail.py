"""Following the log: what the entries after the watermark left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.errors import CorruptError, IndexUnavailableError
from core.event_log.decide import apply
from core.event_log.overlay_state import OverlayLayer
from core.lru_cache import LRUCache
from core.ports import Index, Log
from core.records import FORMAT, Entry, Operation, Outcome, State, Tombstone
from core.types import ActiveSpaces, SpaceKind

LONGEST = 4_000
"""Entries that a tail may hold: past that the index is too far behind to be overlaid."""
TENANTS = 256
"""Tails that are remembered, of the tenants that were last asked for: each may hold megabytes, and
one that was forgotten costs three reads of the log."""


class BehindError(IndexUnavailableError):
    """The index is too far behind the log to be overlaid."""


class LogTail(NamedTuple):
    """The log after the watermark at one moment; never changed, only replaced."""

    tenant: str
    watermark: int
    nonce: str
    """Of the entry at the head, "" where there is none."""
    entries: tuple[Entry, ...]
    layer: OverlayLayer

    @property
    def head(self) -> int:
        """The highest number of the log that was read."""
        return self.watermark + len(self.entries)

    @property
    def lag(self) -> int:
        """Entries that the index does not hold yet."""
        return len(self.entries)

    @property
    def states(self) -> Mapping[str, State]:
        """The newest state of each record that the entries touched, by image_id."""
        return self.layer.states

    @property
    def removed(self) -> Mapping[str, Tombstone]:
        """By image_id."""
        return self.layer.removed

    @property
    def standings(self) -> Mapping[SpaceKind, ActiveSpaces]:
        """Which spaces there are, of the kinds that the entries speak of."""
        return self.layer.standings

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """By job_id."""
        return self.layer.outcomes

    def entry(self, seq: int) -> Entry | None:
        """One of the entries, None where it lies outside."""
        n = seq - self.watermark - 1
        return self.entries[n] if 0 <= n < len(self.entries) else None

    def operation(self, job_id: str) -> Operation | None:
        """What ended a job."""
        outcome = self.layer.outcomes.get(job_id)
        entry = None if outcome is None else self.entry(outcome.seq)
        return None if entry is None else ending(entry, job_id)

    def plus(self, *entries: Entry) -> LogTail:
        """With the next entries. Raise CorruptError where one does not follow the last."""
        nonce, layer = self.nonce, self.layer.copy()
        for seq, entry in enumerate(entries, self.head + 1):
            check(self.tenant, entry, seq, nonce)
            nonce = entry.nonce
            for operation in entry.operations:
                apply(layer, operation, entry.seq)
        return LogTail(self.tenant, self.watermark, nonce, (*self.entries, *entries), layer)

    def since(self, watermark: int) -> LogTail:
        """Without what lies at or below a watermark within it."""
        if watermark == self.watermark:
            return self
        entries = self.entries[watermark - self.watermark :]
        layer = OverlayLayer()
        for entry in entries:
            for operation in entry.operations:
                apply(layer, operation, entry.seq)
        return LogTail(self.tenant, watermark, self.nonce, entries, layer)


def check(tenant: str, entry: Entry, seq: int, previous: str) -> None:
    """Whether an entry is the one that must come. Raise CorruptError."""
    if entry.seq != seq or entry.previous != previous:
        raise CorruptError(f"the log of {tenant} breaks off: entry {seq} does not follow the last")
    if entry.format > FORMAT:
        raise CorruptError(f"entry {seq} of {tenant} was written by a newer version")


def format_of(operations: Sequence[Operation]) -> int:
    """The oldest format that says all of it: an older Seenit stops where it would forget a hold."""
    held = any(state.hold_until for operation in operations for state in operation.states)
    return FORMAT if held else 1


def ending(entry: Entry, job_id: str) -> Operation | None:
    """The operation of an entry that ended a job."""
    for operation in entry.operations:
        if operation.last and (
            operation.job == job_id or any(ended.job_id == job_id for ended in operation.also)
        ):
            return operation
    return None


class LogFollower:
    """Follows the log of every tenant; cheap where nothing is new; safe from several threads."""

    def __init__(
        self, log: Log, index: Index, *, longest: int = LONGEST, tenants: int = TENANTS
    ) -> None:
        self._log = log
        self._index = index
        self._longest = longest
        self._tails: LRUCache[str, LogTail] = LRUCache(tenants)

    def tail(self, tenant: str) -> LogTail:
        """The present tail.

        Raise StoreUnavailableError, IndexUnavailableError (BehindError where it is too far
        behind), CorruptError.
        """
        watermark = self._index.watermark(tenant)
        held = self._tails.get(tenant)
        if held is not None and held.watermark <= watermark <= held.head:
            tail = self._read_on(held.since(watermark))
        else:
            if held is None or watermark < held.watermark:
                self._refuse_longest(tenant, watermark)
            tail = self._start(tenant, watermark)
        return self._tails.put(tenant, tail)

    def standings(self, tenant: str) -> Mapping[SpaceKind, ActiveSpaces]:
        """Which spaces of each kind a tenant has by now, as far as the log says."""
        tail = self.tail(tenant)
        return {**self._index.active_spaces(tenant), **tail.layer.standings}

    def held(self, tenant: str) -> LogTail | None:
        """The tail as it was last seen."""
        return self._tails.get(tenant)

    def offer(self, tail: LogTail) -> None:
        """Take over a tail that was read, or appended to, elsewhere."""
        held = self._tails.get(tail.tenant)
        if held is None or held.head < tail.head:
            self._tails.put(tail.tenant, tail)

    def passed(self, tenant: str, watermark: int) -> None:
        """The index holds so much by now: entries up to there need not be remembered."""
        held = self._tails.get(tenant)
        if held is not None and held.watermark < watermark <= held.head:
            self._tails.put(tenant, held.since(watermark))

    def _start(self, tenant: str, watermark: int) -> LogTail:
        """Read all of the tail, and look once for a gap behind its end."""
        nonce = ""
        if watermark:
            entry = self._log.read(tenant, watermark)
            if entry is None:
                raise CorruptError(f"entry {watermark} of {tenant} is gone, and the index has it")
            nonce = entry.nonce
        tail = self._read_on(LogTail(tenant, watermark, nonce, (), OverlayLayer()))
        while self._log.read(tenant, tail.head + 2) is not None:
            longer = self._read_on(tail)
            if longer.head == tail.head:
                raise CorruptError(f"the log of {tenant} has a gap at entry {tail.head + 1}")
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
        """A tail that is too long is told by its last entry: raise BehindError.

        Where an index was emptied, all who ask would else read thousands of entries first.
        """
        if self._log.read(tenant, watermark + self._longest + 1) is not None:
            raise self._behind(tenant)

    def _behind(self, tenant: str) -> BehindError:
        return BehindError(f"the index is over {self._longest} entries behind the log of {tenant}")
