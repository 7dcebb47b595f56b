"""The index as of now: what it holds, overlaid with the log after its watermark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from core.ports import Index
from core.records import Outcome, Record, State, Tombstone
from core.storage.picture_store import PictureStore
from core.types import ActiveSpaces, SpaceKind


@runtime_checkable
class ReadsTail(Protocol):
    """What the entries after the watermark left, newest state of each record."""

    @property
    def states(self) -> Mapping[str, State]:
        """By image_id."""

    @property
    def removed(self) -> Mapping[str, Tombstone]:
        """By image_id."""

    @property
    def standings(self) -> Mapping[SpaceKind, ActiveSpaces]:
        """By kind, those that changed."""

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """By job_id."""

    @property
    def head(self) -> int:
        """The highest number of the log that was read."""

    @property
    def watermark(self) -> int:
        """The number up to which the index holds everything."""


@runtime_checkable
class FollowsLog(Protocol):
    """Whoever follows the log of every tenant."""

    def tail(self, tenant: str) -> ReadsTail:
        """The present tail. Raise StoreUnavailableError, CorruptError."""


class Snapshot:
    """Reads of one moment. The tail is read first: what it lacks, the index has by then."""

    def __init__(self, index: Index, shelf: PictureStore, tenant: str, tail: ReadsTail) -> None:
        self._index = index
        self.shelf = shelf
        self.tenant = tenant
        self.tail = tail

    def records(self, ids: Sequence[str], *, vectors: bool = False) -> list[Record | None]:
        """In order, with their `vectors` if asked for; None for unknown and deleted ones."""
        held = self._index.read_records(self.tenant, ids, vectors=vectors)
        return [self._known(image_id, record) for image_id, record in zip(ids, held, strict=True)]

    def fresh(self, record: Record) -> Record | None:
        """What became of a record that the index gave, None where it was deleted since."""
        return self._known(record.state.image_id, record)

    def asked(self) -> dict[SpaceKind, str]:
        """The space of each kind that is asked, as far as the log says."""
        standings = {**self._index.active_spaces(self.tenant), **self.tail.standings}
        return {kind: standing.active.space.space_id for kind, standing in standings.items()}

    def removed(self, image_id: str) -> Tombstone | None:
        """What is left of a deleted picture."""
        return (
            self.tail.removed.get(image_id)
            or self._index.read_tombstones(self.tenant, [image_id])[0]
        )

    def gone(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that were deleted."""
        held = self._index.read_tombstones(self.tenant, ids) if ids else []
        dead = {one for one, tombstone in zip(ids, held, strict=True) if tombstone is not None}
        return dead | (self.tail.removed.keys() & set(ids))

    def outcomes(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        """In order; None for jobs that are unknown or have not ended."""
        held = self._index.read_outcomes(self.tenant, job_ids)
        return [
            self.tail.outcomes.get(job_id) or outcome
            for job_id, outcome in zip(job_ids, held, strict=True)
        ]

    def _known(self, image_id: str, record: Record | None) -> Record | None:
        if image_id in self.tail.removed:
            return None
        newer = self.tail.states.get(image_id)
        if newer is None:
            return record
        if record is None:
            if self._index.read_tombstones(self.tenant, [image_id])[0] is not None:
                return None  # deleted after this tail was read
        elif record.state.revision >= newer.revision:
            return record  # projected after this tail was read
        joined = self.shelf.join(self.tenant, self.tail.head, [newer])
        return joined[0] if joined else None
