"""Snapshots of a tenant: the index, overlaid with the log after its watermark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.event_log.tail import LogTail
from core.filters import SHOWN, card, passes, shows
from core.index_port import Filters, Index, RecordCard
from core.records import Outcome, Record, State
from core.storage.picture_store import PictureStore
from core.types import ActiveSpaces, SpaceKind, Vector

Place = tuple[str, str]
"""The (accepted_at, id) below which the rest of a list lies."""


class FollowsLog(Protocol):
    """A reader of every tenant's log."""

    def tail(self, tenant: str) -> LogTail:
        """Return the present tail. Raise StoreUnavailableError, CorruptError."""


class SnapshotPage(NamedTuple):
    """Part of a list of records as of a snapshot, newest first, and where the rest begins."""

    records: list[Record]
    after: Place | None


class RecordVector(NamedTuple):
    """A vector that represents a record, and the record it was computed from."""

    image_id: str
    vector: Vector


class Snapshots:
    """A factory of snapshots, which join the index and the tail of the log."""

    def __init__(self, index: Index, follower: FollowsLog, shelf: PictureStore) -> None:
        self._index = index
        self._follower = follower
        self._shelf = shelf

    def take(self, tenant: str) -> Snapshot:
        """Return a tenant's snapshot of now.

        Raise StoreUnavailableError, IndexUnavailableError, CorruptError.
        """
        return Snapshot(self._index, self._shelf, tenant, self._follower.tail(tenant))


@dataclass(frozen=True)
class Snapshot:
    """Reads as of one moment. The tail is read first: entries it lacks are in the index by then.

    `index` serves reads that no tail can overlay: searches, values and counts.
    """

    index: Index
    shelf: PictureStore
    tenant: str
    tail: LogTail

    # --- records --------------------------------------------------------------------------------

    def records(self, ids: Sequence[str], *, vectors: bool = False) -> list[Record | None]:
        """Return records in order, with their `vectors` on request; None for unknown ones."""
        held = self.index.read_records(self.tenant, ids, vectors=vectors)
        return [self._known(image_id, record) for image_id, record in zip(ids, held, strict=True)]

    def touched(self, image_id: str) -> bool:
        """Return whether the tail changed or deleted a record."""
        return image_id in self.tail.layer.states or image_id in self.tail.layer.removed

    def cards(self, ids: Sequence[str]) -> dict[str, RecordCard]:
        """Return the cards of live records by image_id."""
        moved = [image_id for image_id in ids if self.touched(image_id)]
        settled = [image_id for image_id in ids if not self.touched(image_id)]
        found = self.index.read_cards(self.tenant, settled) if settled else []
        fresh = self.records(moved) if moved else []
        found += [None if record is None else card(record) for record in fresh]
        return {one.image_id: one for one in found if one is not None}

    def shown(self, ids: Sequence[str]) -> set[str]:
        """Return those of some ids whose decision, and whose original's, is `allow`."""
        found = self.cards(ids)
        others = {one.original for one in found.values()} - found.keys()
        originals = found | (self.cards(sorted(others)) if others else {})
        decisions = {image_id: one.decision for image_id, one in originals.items()}
        return {
            image_id
            for image_id, one in found.items()
            if shows(one.decision, decisions.get(one.original), SHOWN)
        }

    def copies(self, original: str) -> list[State]:
        """Return the states of the live copies of an original."""
        held = self.index.find_states(self.tenant, originals=[original])
        return [
            state for state in self._overlaid(held) if state.original == original != state.image_id
        ]

    def variants(self, record: State, limit: int, before: Place | None) -> list[State]:
        """Return at most `limit` live variants of a record below a place, newest first.

        Its verdict names them, or theirs name it.
        """
        image_id, named = record.image_id, record.verdict.variants
        held = filter(None, self.index.read_states(self.tenant, named))
        found = {
            state.image_id: state
            for state in self._overlaid(held)
            if (state.image_id in named or image_id in state.verdict.variants)
            and (before is None or place(state) < before)
        }
        while True:
            part = self.index.list_variants(self.tenant, image_id, limit, before)
            found |= {one.image_id: one for one in part if not self.touched(one.image_id)}
            newest = sorted(found.values(), key=place, reverse=True)[:limit]
            if len(part) < limit:
                return newest
            before = place(part[-1])
            if len(newest) == limit and place(newest[-1]) >= before:
                return newest

    def list_records(self, filters: Filters, limit: int, before: Place | None) -> SnapshotPage:
        """Return at most `limit` records below a place that pass every filter.

        Records that are only in the tail are listed once they are projected.
        """
        kept: list[Record] = []
        while True:
            page = self.index.list_records(self.tenant, filters, limit - len(kept), before)
            fresh = (self._known(record.state.image_id, record) for record in page.records)
            kept += [one for one in fresh if one is not None and passes(card(one), filters)]
            if not page.more or not page.records:
                return SnapshotPage(kept, None)
            before = place(page.records[-1].state)
            if len(kept) >= limit:
                return SnapshotPage(kept, before)

    def vector_of(self, record: Record, space_id: str) -> RecordVector | None:
        """Return a record's vector of a space: its own, else its original's.

        A copy shows what its original shows, and has no visual vector of its own.
        """
        image_id, original = record.state.image_id, record.state.original
        own, others = self.index.read_vectors(self.tenant, space_id, [image_id, original])
        own = record.vectors.get(space_id, own)
        if own is not None:
            return RecordVector(image_id, own)
        if self.touched(original):
            (held,) = self.records([original])
            others = None if held is None else held.vectors.get(space_id, others)
        return None if others is None else RecordVector(original, others)

    # --- what was deleted -----------------------------------------------------------------------

    def gone(self, ids: Sequence[str]) -> set[str]:
        """Return the deleted ones of some ids."""
        held = self.index.read_tombstones(self.tenant, ids)
        dead = {one for one, tombstone in zip(ids, held, strict=True) if tombstone is not None}
        return dead.union(filter(self.tail.layer.gone, ids))

    def banked(self, ids: Sequence[str]) -> set[str]:
        """Return the deleted ones of some ids of which a bank has an entry."""
        layer = self.tail.layer
        held = self.index.read_states(self.tenant, ids) if ids else []
        newest = [layer.states.get(one, state) for one, state in zip(ids, held, strict=True)]
        found = {one.image_id for one in newest if one is not None and one.bank is not None}
        return found - layer.removed.keys()

    # --- jobs and spaces ------------------------------------------------------------------------

    def outcomes(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return outcomes in order, None for jobs that are unknown or have not ended."""
        held = self.index.read_outcomes(self.tenant, job_ids)
        return [
            self.tail.layer.outcomes.get(job_id) or outcome
            for job_id, outcome in zip(job_ids, held, strict=True)
        ]

    def active_spaces(self) -> dict[SpaceKind, ActiveSpaces]:
        """Return the spaces of each kind that the log names."""
        return {**self.index.active_spaces(self.tenant), **self.tail.layer.standings}

    def _overlaid(self, held: Iterable[State]) -> list[State]:
        """Return the newest states of these records and of those in the tail, if they are live."""
        found = {state.image_id: state for state in held}
        for image_id, state in self.tail.layer.states.items():
            known = found.get(image_id)
            if known is None or known.revision < state.revision:
                found[image_id] = state
        removed = self.tail.layer.removed
        return [one for one in found.values() if one.image_id not in removed and one.bank is None]

    def _known(self, image_id: str, record: Record | None) -> Record | None:
        """Return a record of the index as of this snapshot, None if it was deleted."""
        if self.tail.layer.gone(image_id):
            return None
        newer = self.tail.layer.states.get(image_id)
        if newer is None:
            return record
        if record is None:
            if self.index.read_tombstones(self.tenant, [image_id])[0] is not None:
                return None  # deleted after this tail was read
        elif record.state.revision >= newer.revision:
            return record  # projected after this tail was read
        joined = self.shelf.join(self.tenant, self.tail.head, [newer])
        return joined[0] if joined else None


def place(state: State) -> Place:
    """Return the place of a record in a list, newest first."""
    return state.accepted_at, state.image_id
