"""Records, lists, duplicate groups, variants, neighbours and counts as of now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.cursor import decode, encode
from core.errors import ConflictError, GoneError, MissingError
from core.filters import SHOWN
from core.index_port import Filters, Neighbour, Stats
from core.queries import joined_views
from core.queries.jobs import JobReader, JobState, UnsettledError
from core.queries.joined_views import JobView, OriginalView, RecordView
from core.queries.snapshot import Snapshot, Snapshots, place
from core.records import Record, State
from core.types import Erasure, Verdict

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

OWNED_PAGE = 200
"""Records read at a time when an owner's pictures are listed."""


class RecordPage(NamedTuple):
    """Part of a list, newest first, and the cursor for the next part."""

    items: list[RecordView]
    next_cursor: str | None


class DuplicateGroup(NamedTuple):
    """An original with part of its copies, newest first."""

    original: RecordView | None
    """None for a blocked picture that was deleted."""
    copies: list[RecordView]
    next_cursor: str | None


class NearRecord(NamedTuple):
    """A neighbour and its cosine similarity."""

    seen: RecordView
    similarity: float


class TenantCounts(NamedTuple):
    """Statistics of the index, the number of waiting jobs, and the head of the log."""

    stats: Stats
    waiting: int
    head: int


class RecordReader:
    """Reads of records as of now, with the originals that their verdicts name."""

    def __init__(self, snapshots: Snapshots, jobs: JobReader) -> None:
        self._snapshots = snapshots
        self._jobs = jobs

    # --- one picture ----------------------------------------------------------------------------

    # `shown_only` is for keys of role `read`: pictures whose decision or original's is not `allow`,
    # and those not settled yet, are then left out of lists, never named, and missing by their id.

    def record(self, tenant: str, image_id: str, *, shown_only: bool = False) -> RecordView:
        """Return a record. Raise MissingError, GoneError, UnsettledError (with its job)."""
        snapshot = self._snapshots.take(tenant)
        record = self._visible(snapshot, image_id, shown_only=shown_only)
        return _views(snapshot, [record], shown_only=shown_only)[0]

    def check_shown(self, tenant: str, ids: Sequence[str], field: str | None = None) -> None:
        """Raise MissingError or GoneError, as for an unknown id, for one not shown to readers."""
        snapshot = self._snapshots.take(tenant)
        for image_id in ids:
            self._visible(snapshot, image_id, shown_only=True, field=field)

    def for_readers(self, tenant: str, found: Sequence[RecordView]) -> list[RecordView]:
        """Return views of pictures shown to readers that name no other pictures."""
        return joined_views.for_readers(self._snapshots.take(tenant), found)

    def check_erasable(self, tenant: str, image_id: str, erasure: Erasure = "erase") -> None:
        """Raise MissingError or GoneError if there is nothing to delete, settled or not."""
        snapshot = self._snapshots.take(tenant)
        if erasure == "forget" and snapshot.banked([image_id]):
            return
        try:
            self._settled(snapshot, image_id)
        except UnsettledError:
            return

    def duplicate_group(
        self,
        tenant: str,
        image_id: str,
        limit: int,
        cursor: str | None,
        *,
        shown_only: bool = False,
    ) -> DuplicateGroup:
        """Return the original of a picture (itself if it is no copy) and its copies."""
        snapshot = self._snapshots.take(tenant)
        record = self._visible(snapshot, image_id, shown_only=shown_only)
        original_id = record.state.original
        original = None
        try:
            original = self._settled(snapshot, original_id)
        except GoneError:
            if not snapshot.banked([original_id]):
                raise
        states = sorted(snapshot.copies(original_id), key=place, reverse=True)
        if shown_only:  # before the cut, as a cursor names the last one of a page
            states = [state for state in states if state.decision.value in SHOWN]
        if cursor is not None:
            before = decode(cursor)
            states = [state for state in states if place(state) < before]
        copies, onward = _page(snapshot, states, limit)
        if original is None:
            return DuplicateGroup(None, joined_views.records(snapshot, copies), onward)
        first, *others = _views(snapshot, [original, *copies], shown_only=shown_only)
        return DuplicateGroup(first, others, onward)

    def variants(
        self,
        tenant: str,
        image_id: str,
        limit: int,
        cursor: str | None,
        *,
        shown_only: bool = False,
    ) -> RecordPage:
        """Return the variants of a picture: named by its verdict, or with one that names it."""
        snapshot = self._snapshots.take(tenant)
        record = self._visible(snapshot, image_id, shown_only=shown_only)
        before = None if cursor is None else decode(cursor)
        states: list[State] = []
        while True:
            part = snapshot.variants(record.state, limit + 1, before)
            ids = [state.image_id for state in part]
            wanted = snapshot.shown(ids) if shown_only else ids
            states += [state for state in part if state.image_id in wanted]
            if len(part) <= limit or len(states) > limit:
                break
            before = place(part[-1])
        found, onward = _page(snapshot, states, limit)
        return RecordPage(_views(snapshot, found, shown_only=shown_only), onward)

    def similar(
        self,
        tenant: str,
        image_id: str,
        space_id: str,
        limit: int,
        min_similarity: float,
        *,
        decisions: tuple[str, ...] = SHOWN,
        shown_only: bool = False,
    ) -> list[NearRecord]:
        """Return the nearest records of a space with these decisions, best first.

        The picture itself is left out. A copy without a vector of its own is represented by its
        original's, which is left out too. Raise ConflictError if neither has one.
        """
        snapshot = self._snapshots.take(tenant)
        record = self._visible(snapshot, image_id, shown_only=shown_only)
        query = snapshot.vector_of(record, space_id)
        if query is None:
            raise ConflictError(f"picture {image_id} has no vector in the space {space_id}")
        depth = limit + len(snapshot.tail.layer.removed)
        while True:
            hits = snapshot.index.find_neighbours(
                tenant,
                space_id,
                query.vector,
                limit=depth,
                min_similarity=min_similarity,
                without=sorted({image_id, query.image_id}),
                filters=Filters(decision=decisions),
            )
            near = _shown(snapshot, hits, decisions)
            if len(near) >= limit or len(hits) < depth:
                break
            depth *= 2
        if shown_only:
            seen = joined_views.for_readers(snapshot, [one.seen for one in near])
            near = [one._replace(seen=view) for one, view in zip(near, seen, strict=True)]
        return near[:limit]

    # --- many -----------------------------------------------------------------------------------

    def pictures(self, tenant: str, filters: Filters, limit: int, cursor: str | None) -> RecordPage:
        """Return records that pass every filter. Raise MalformedError for a bad cursor."""
        snapshot = self._snapshots.take(tenant)
        before = None if cursor is None else decode(cursor)
        if filters.original_id and snapshot.gone([filters.original_id]):
            return RecordPage([], None)  # a bank's entry keeps its copies, and nobody may tell
        page = snapshot.list_records(filters, limit, before)
        onward = None if page.after is None else encode(*page.after)
        return RecordPage(joined_views.records(snapshot, page.records), onward)

    def owned(self, tenant: str, owner_id: str) -> list[str]:
        """Return every picture of an owner: settled, waiting, or set aside as failed."""
        # Waiting uploads are read first: one that is settled meanwhile is found as a record.
        waiting = [job.image_id for job in self._jobs.open_jobs(tenant) if job.kind == "ingest"]
        snapshot = self._snapshots.take(tenant)
        unsettled = list(dict.fromkeys((*waiting, *_failed(snapshot))))
        found = dict.fromkeys(_owned_settled(snapshot, owner_id))
        found |= dict.fromkeys(_owned_unsettled(snapshot, unsettled, owner_id))
        gone = snapshot.gone(list(found))
        return [image_id for image_id in found if image_id not in gone]

    def counts(self, tenant: str, spaces: Sequence[str] = ()) -> TenantCounts:
        """Return statistics as of the watermark, the waiting jobs, and the head of the log.

        `spaces` are counted even if no record has a vector in them yet.
        """
        snapshot = self._snapshots.take(tenant)
        stats = snapshot.index.count_records(tenant, spaces)
        return TenantCounts(stats, self._jobs.waiting(tenant), snapshot.tail.head)

    def job_view(self, tenant: str, job_id: str) -> JobView:
        """Return a job with the original that its verdict names. Raise MissingError."""
        return self.job_views(tenant, [self._jobs.job(tenant, job_id)])[0]

    def job_views(self, tenant: str, jobs: Sequence[JobState]) -> list[JobView]:
        """Return jobs with the originals that their verdicts name."""
        return joined_views.jobs(self._snapshots.take(tenant), jobs)

    def joined(
        self, tenant: str, verdict: Verdict, *, shown_only: bool = False
    ) -> tuple[Verdict, OriginalView | None]:
        """Return a verdict with the original that it names, None if it names none."""
        snapshot = self._snapshots.take(tenant)
        verdict, original = joined_views.verdict(snapshot, verdict)
        hidden = joined_views.hidden_in(snapshot, [verdict]) if shown_only else set()
        original = None if verdict.original in hidden else original
        return joined_views.without_matches(verdict, hidden), original

    # --- steps ----------------------------------------------------------------------------------

    def _visible(
        self, snapshot: Snapshot, image_id: str, *, shown_only: bool, field: str | None = None
    ) -> Record:
        """Return a settled record. Raise as `record`, for readers as if no other existed."""
        if not shown_only:
            return self._settled(snapshot, image_id)
        try:
            record = self._settled(snapshot, image_id)
        except GoneError as error:
            raise GoneError(error.detail, field=field) from None
        except MissingError:  # unsettled ones too, whose job is not shown
            raise MissingError(f"there is no picture {image_id}", field=field) from None
        if image_id not in snapshot.shown([image_id]):
            raise MissingError(f"there is no picture {image_id}", field=field)
        return record

    def _settled(self, snapshot: Snapshot, image_id: str) -> Record:
        if not _ID.fullmatch(image_id):
            raise MissingError(f"there is no picture {image_id}")
        record = _live(snapshot, image_id)
        if record is not None:
            return record
        job = self._jobs.latest(snapshot.tenant, image_id)
        if job is None or job.kind != "ingest":  # an operation's id is no picture's
            raise MissingError(f"there is no picture {image_id}")
        if job.status == "done":  # settled between the two reads
            record = _live(self._snapshots.take(snapshot.tenant), image_id)
        if record is None:
            raise UnsettledError(_unsettled(job), job=job)
        return record


def _views(snapshot: Snapshot, found: Sequence[Record], *, shown_only: bool) -> list[RecordView]:
    seen = joined_views.records(snapshot, found)
    return joined_views.for_readers(snapshot, seen) if shown_only else seen


def _page(
    snapshot: Snapshot, states: Sequence[State], limit: int
) -> tuple[list[Record], str | None]:
    """Return the first `limit` of some records in order, and the cursor for the next ones."""
    cut = states[:limit]
    found = [one for one in snapshot.records([state.image_id for state in cut]) if one]
    return found, encode(*place(cut[-1])) if len(states) > limit else None


def _live(snapshot: Snapshot, image_id: str) -> Record | None:
    """Return a record, None for an unknown one. Raise GoneError for a deleted one."""
    record = snapshot.records([image_id])[0]
    if record is None and snapshot.gone([image_id]):
        raise GoneError(f"picture {image_id} was deleted")
    return record


def _shown(
    snapshot: Snapshot, hits: Sequence[Neighbour], decisions: tuple[str, ...]
) -> list[NearRecord]:
    """Return the hits that exist as of the snapshot and have these decisions."""
    records = snapshot.records([hit.image_id for hit in hits])
    live = [
        (record, hit)
        for record, hit in zip(records, hits, strict=True)
        if record is not None and record.state.decision.value in decisions
    ]
    seen = joined_views.records(snapshot, [record for record, _ in live])
    return [
        NearRecord(one, hit.similarity)
        for one, (_, hit) in zip(seen, live, strict=True)
        if joined_views.shown(one, decisions)
    ]


def _owned_settled(snapshot: Snapshot, owner_id: str) -> Iterator[str]:
    """Yield an owner's records: of the tail, then of the index."""
    states = snapshot.tail.layer.states.values()
    yield from _owned_fields(
        snapshot, [(state.image_id, state.fields) for state in states], owner_id
    )
    filters, before = Filters(owner_id=owner_id), None
    while True:
        page = snapshot.list_records(filters, OWNED_PAGE, before)
        yield from (record.state.image_id for record in page.records)
        before = page.after
        if before is None:
            return


def _owned_unsettled(snapshot: Snapshot, ids: Sequence[str], owner_id: str) -> Iterator[str]:
    """Yield the uploads that an owner sent; the record, once settled, decides the owner."""
    theirs = list(_owned_fields(snapshot, [(image_id, image_id) for image_id in ids], owner_id))
    for image_id, record in zip(theirs, snapshot.records(theirs), strict=True):
        if record is None or record.fields.owner_id == owner_id:
            yield image_id


def _owned_fields(
    snapshot: Snapshot, fields: Sequence[tuple[str, str | None]], owner_id: str
) -> Iterator[str]:
    """Yield the pictures whose fields, stored under this op_id, have this owner."""
    shelf, tenant = snapshot.shelf, snapshot.tenant
    for start in range(0, len(fields), OWNED_PAGE):
        some = fields[start : start + OWNED_PAGE]
        shelf.fetch_fields(tenant, some)
        for image_id, op_id in some:
            if shelf.fields(tenant, image_id, op_id).owner_id == owner_id:
                yield image_id


def _failed(snapshot: Snapshot) -> Iterator[str]:
    """Yield the pictures whose ingest failed."""
    for outcome in snapshot.tail.layer.outcomes.values():
        if outcome.kind == "ingest" and outcome.problem is not None:
            yield outcome.image_id
    before = None
    while True:
        outcomes, more = snapshot.index.list_outcomes(snapshot.tenant, "failed", OWNED_PAGE, before)
        yield from (outcome.image_id for outcome in outcomes if outcome.kind == "ingest")
        if not more or not outcomes:
            return
        before = (outcomes[-1].accepted_at, outcomes[-1].job_id)


def _unsettled(job: JobState) -> str:
    if job.status == "failed" and job.problem is not None:
        return f"picture {job.image_id} could not be ingested: {job.problem.detail}"
    return f"picture {job.image_id} is not settled yet: its job is {job.status}"
