"""Reading what was settled: records, lists, stars, neighbours and counts, as of now.

Every read is the index overlaid with the log after its watermark. What a verdict names only by id
(its original, a person's reason) is joined here, so that all doors tell the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core import keys
from core.cursor import decode, encode
from core.errors import ConflictError, GoneError, MissingError
from core.filters import SHOWN, card, passes
from core.ports import Filters, Neighbour, Stats
from core.queries import joined_views
from core.queries.jobs import JobReader, JobState, UnsettledError
from core.queries.joined_views import JobView, OriginalView, RecordView
from core.queries.snapshot import Snapshot
from core.records import Record, State
from core.types import Vector, Verdict

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

OWNED_PAGE = 200
"""Records read at a time when all of an owner's are gathered."""


class RecordPage(NamedTuple):
    """Part of a list, newest first, and the cursor for the next part."""

    items: list[RecordView]
    next_cursor: str | None


class DuplicateGroup(NamedTuple):
    """An original with part of its copies, newest first."""

    original: RecordView
    copies: list[RecordView]
    next_cursor: str | None


class NearRecord(NamedTuple):
    """A neighbour and its cosine similarity."""

    seen: RecordView
    similarity: float


class TenantCounts(NamedTuple):
    """What the index holds, how much waits, and how far the index is behind the log."""

    stats: Stats
    waiting: int
    head: int


class RecordReader(JobReader):
    """Reads of records beside those of jobs."""

    # --- one picture ----------------------------------------------------------------------------

    def record(self, tenant: str, image_id: str) -> RecordView:
        """Raise MissingError, GoneError, UnsettledError (with its job)."""
        overlay = self.overlay(tenant)
        return joined_views.records(overlay, [self._settled(overlay, image_id)])[0]

    def erasable(self, tenant: str, image_id: str) -> None:
        """Whether there is anything to delete, settled or not. Raise MissingError, GoneError."""
        try:
            self._settled(self.overlay(tenant), image_id)
        except UnsettledError:
            return

    def star(self, tenant: str, image_id: str, limit: int, cursor: str | None) -> DuplicateGroup:
        """The original of a picture (itself, where it is no copy) and all that point at it."""
        overlay = self.overlay(tenant)
        original = self._settled(overlay, self._settled(overlay, image_id).state.original)
        states = self._copies(overlay, original.state.image_id)
        states.sort(key=_place, reverse=True)
        if cursor is not None:
            before = decode(cursor)
            states = [state for state in states if _place(state) < before]
        cut = states[:limit]
        records = overlay.records([state.image_id for state in cut])
        copies = joined_views.records(overlay, [record for record in records if record is not None])
        onward = encode(*_place(cut[-1])) if len(states) > limit else None
        return DuplicateGroup(joined_views.records(overlay, [original])[0], copies, onward)

    def similar(
        self,
        tenant: str,
        image_id: str,
        space_id: str,
        limit: int,
        min_similarity: float,
        *,
        decisions: tuple[str, ...] = SHOWN,
    ) -> list[NearRecord]:
        """Nearest records of a space and of these decisions, best first, itself left out.

        A copy without a vector of its own asks by its original's, and leaves that one out too.
        Raise ConflictError where neither has one.
        """
        overlay = self.overlay(tenant)
        record = self._settled(overlay, image_id)
        asked, vector = image_id, self._vector(overlay, record, space_id)
        if vector is None and record.state.original != image_id:
            asked = record.state.original
            vector = self._vector(overlay, self._settled(overlay, asked), space_id)
        if vector is None:
            raise ConflictError(f"picture {image_id} has no vector in the space {space_id}")
        depth = limit + len(overlay.tail.removed)
        while True:
            hits = self._index.find_neighbours(
                tenant,
                space_id,
                vector,
                limit=depth,
                min_similarity=min_similarity,
                without=sorted({image_id, asked}),
                filters=Filters(decision=decisions),
            )
            near = self._shown(overlay, hits, decisions)
            if len(near) >= limit or len(hits) < depth:
                return near[:limit]
            depth *= 2

    # --- many -----------------------------------------------------------------------------------

    def pictures(self, tenant: str, filters: Filters, limit: int, cursor: str | None) -> RecordPage:
        """Records that pass every filter. Raise MalformedError for a bad cursor."""
        overlay = self.overlay(tenant)
        before = None if cursor is None else decode(cursor)
        kept: list[Record] = []
        while True:
            page = self._index.list_records(tenant, filters, limit - len(kept), before)
            fresh = (overlay.fresh(record) for record in page.records)
            kept += [
                record for record in fresh if record is not None and passes(card(record), filters)
            ]
            if page.records:
                before = _place(page.records[-1].state)
            if not page.more or before is None or len(kept) >= limit:
                break
        onward = encode(*before) if page.more and before is not None else None
        return RecordPage(joined_views.records(overlay, kept), onward)

    def owned(self, tenant: str, owner_id: str) -> list[str]:
        """Every picture of an owner: settled, waiting, or set aside as failed."""
        # What waits is asked for first: it may be settled meanwhile, and is a record then.
        waiting = [job.image_id for job in self.open_jobs(tenant) if job.kind == "ingest"]
        overlay = self.overlay(tenant)
        states = overlay.tail.states.values()
        said = self._owners(tenant, [(state.image_id, state.fields) for state in states])
        found = {image_id: None for image_id, owner in said if owner == owner_id}
        filters = Filters(owner_id=owner_id)
        before = None
        while True:
            page = self._index.list_records(tenant, filters, OWNED_PAGE, before)
            for record in map(overlay.fresh, page.records):
                if record is not None and record.fields.owner_id == owner_id:
                    found[record.state.image_id] = None
            if not page.more or not page.records:
                break
            before = _place(page.records[-1].state)
        # An upload's fields lie under its own id; once it has a record, that one says whose it is.
        unsettled = [
            image_id
            for image_id in dict.fromkeys((*waiting, *self._failed(overlay)))
            if overlay.removed(image_id) is None
        ]
        said = self._owners(tenant, [(image_id, image_id) for image_id in unsettled])
        theirs = [image_id for image_id, owner in said if owner == owner_id]
        for image_id, record in zip(theirs, overlay.records(theirs), strict=True):
            if record is None or record.fields.owner_id == owner_id:
                found[image_id] = None
        return [image_id for image_id in found if overlay.removed(image_id) is None]

    def counts(self, tenant: str, spaces: Sequence[str] = ()) -> TenantCounts:
        """Statistics as of the watermark, and how far that lies behind.

        Of these spaces also where no record has a vector in them yet.
        """
        tail = self._follower.tail(tenant)
        return TenantCounts(
            self._index.count_records(tenant, spaces), self.waiting(tenant), tail.head
        )

    def told(self, tenant: str, jobs: Sequence[JobState]) -> list[JobView]:
        """Jobs with the originals that their verdicts name."""
        return joined_views.jobs(self.overlay(tenant), jobs)

    def original(self, tenant: str, verdict: Verdict) -> OriginalView | None:
        """The original that a verdict names."""
        return joined_views.originals(self.overlay(tenant), [verdict]).get(verdict.original or "")

    def stream(self, tenant: str, image_id: str) -> Iterator[bytes]:
        """The picture as it was uploaded, in chunks. Raise MissingError before the first one."""
        return self._blobs.stream(keys.blob(tenant, image_id))

    def preview(self, tenant: str, image_id: str) -> bytes:
        """JPEG, long side at most 512 pixels. Raise MissingError."""
        return self._shelf.preview(tenant, image_id)

    def thumb(self, tenant: str, image_id: str) -> bytes:
        """JPEG, long side at most 160 pixels. Raise MissingError."""
        return self._shelf.thumb(tenant, image_id)

    # --- steps ----------------------------------------------------------------------------------

    def _shown(
        self, overlay: Snapshot, hits: Sequence[Neighbour], decisions: tuple[str, ...]
    ) -> list[NearRecord]:
        """Those of the hits that are there as of now, and of these decisions."""
        records = overlay.records([hit.image_id for hit in hits])
        live = [
            (record, hit)
            for record, hit in zip(records, hits, strict=True)
            if record is not None and record.state.decision.value in decisions
        ]
        seen = joined_views.records(overlay, [record for record, _ in live])
        return [
            NearRecord(one, hit.similarity)
            for one, (_, hit) in zip(seen, live, strict=True)
            if joined_views.shown(one, decisions)
        ]

    def _vector(self, overlay: Snapshot, record: Record, space_id: str) -> Vector | None:
        image_id = record.state.image_id
        vector = self._index.read_vectors(overlay.tenant, space_id, [image_id])[0]
        own = record.state.anchor is not None or keys.is_caption(space_id)
        if vector is None and own:  # not projected yet
            said = record.state.fields
            return self._shelf.vectors(overlay.tenant, image_id, [space_id], said).get(space_id)
        return vector

    def _settled(self, overlay: Snapshot, image_id: str) -> Record:
        if not _ID.fullmatch(image_id):
            raise MissingError(f"there is no picture {image_id}")
        record = overlay.records([image_id])[0]
        if record is not None:
            return record
        if overlay.removed(image_id) is not None:
            raise GoneError(f"picture {image_id} was deleted")
        job = self.latest(overlay.tenant, image_id)
        if job is None or job.kind != "ingest":  # an operation's id is no picture's
            raise MissingError(f"there is no picture {image_id}")
        if job.status == "done":  # settled between the two reads
            return self._settled_now(overlay.tenant, image_id, job)
        raise UnsettledError(_unsettled(job), job=job)

    def _settled_now(self, tenant: str, image_id: str, job: JobState) -> Record:
        overlay = self.overlay(tenant)
        record = overlay.records([image_id])[0]
        if record is None and overlay.removed(image_id) is not None:
            raise GoneError(f"picture {image_id} was deleted")
        if record is None:
            raise UnsettledError(_unsettled(job), job=job)
        return record

    def _copies(self, overlay: Snapshot, original: str) -> list[State]:
        held = {
            s.image_id: s for s in self._index.find_states(overlay.tenant, originals=[original])
        }
        for image_id, state in overlay.tail.states.items():
            known = held.get(image_id)
            if known is None or known.revision < state.revision:
                held[image_id] = state
        return [
            state
            for image_id, state in held.items()
            if image_id not in overlay.tail.removed
            and image_id != original
            and state.original == original
        ]

    def _owners(
        self, tenant: str, said: Sequence[tuple[str, str | None]]
    ) -> list[tuple[str, str | None]]:
        """(image_id, owner_id) of what was said in each call, read side by side."""
        found = []
        for start in range(0, len(said), OWNED_PAGE):
            some = said[start : start + OWNED_PAGE]
            self._shelf.fetch_fields(tenant, some)
            found += [(one, self._shelf.fields(tenant, one, op_id).owner_id) for one, op_id in some]
        return found

    def _failed(self, overlay: Snapshot) -> Iterator[str]:
        """Pictures that were set aside."""
        for outcome in overlay.tail.outcomes.values():
            if outcome.kind == "ingest" and outcome.problem is not None:
                yield outcome.image_id
        before = None
        while True:
            outcomes, more = self._index.list_outcomes(overlay.tenant, "failed", OWNED_PAGE, before)
            yield from (outcome.image_id for outcome in outcomes if outcome.kind == "ingest")
            if not more or not outcomes:
                return
            before = (outcomes[-1].accepted_at, outcomes[-1].job_id)


def _unsettled(job: JobState) -> str:
    if job.status == "failed" and job.problem is not None:
        return f"picture {job.image_id} could not be taken in: {job.problem.detail}"
    return f"picture {job.image_id} is not settled yet: its job is {job.status}"


def _place(state: State) -> tuple[str, str]:
    return state.accepted_at, state.image_id
