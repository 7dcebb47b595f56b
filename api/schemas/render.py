"""Rendering of core values as wire types, field by field; evidence is core's own type."""

from __future__ import annotations

from typing import cast

from api.schemas import images as schemas
from api.schemas import stats as standing
from core import records, types
from core.errors import SeenitError
from core.index_port import CategoryCount
from core.queries.jobs import JobState, UnsettledError
from core.queries.joined_views import JobView, OriginalView, RecordView
from core.queries.records import DuplicateGroup, NearRecord, RecordPage, TenantCounts
from core.search.execution import FoundPicture, SearchResults


def image(seen: RecordView) -> schemas.Image:
    """Render a record with its original joined."""
    record, state, fields = seen.record, seen.record.state, seen.record.fields
    print_ = record.fingerprint
    return schemas.Image(
        image_id=state.image_id,
        owner_id=fields.owner_id,
        external_id=fields.external_id,
        title=fields.title,
        description=fields.description,
        category=fields.category,
        tags=fields.tags,
        source_url=fields.source_url,
        metadata=fields.metadata,
        filename=fields.filename,
        sha256=state.sha256,
        fingerprints=schemas.Fingerprints(
            phash=schemas.Phash(print_.phash),
            pdq=schemas.Pdq(print_.pdq, quality=print_.pdq_quality),
            md5=print_.md5,
            pixels_sha256=print_.pixels_sha256,
            pixels_version=print_.pixels_version,
            features_version=print_.features_version,
            frames_sha256=print_.frames_sha256,
            hdr=print_.hdr,
        ),
        width=print_.width,
        height=print_.height,
        format=cast("schemas.Format", print_.format),
        frames=print_.frames,
        bytes=print_.bytes,
        content=state.content,
        accepted_at=state.accepted_at,
        updated_at=state.updated_at,
        spaces=schemas.Spaces(visual=seen.spaces.get("visual"), caption=seen.spaces.get("caption")),
        verdict=verdict(state.verdict, seen.original),
        decision=decision(state.decision, seen.reason),
        anchor=state.anchor is not None,
        hold_until=state.hold_until,
        revision=state.revision,
    )


def images(listing: RecordPage) -> schemas.Images:
    """Render part of a list of records."""
    return schemas.Images([image(seen) for seen in listing.items], listing.next_cursor)


def star(found: DuplicateGroup) -> schemas.Star:
    """Render an original with its copies."""
    copies = [image(seen) for seen in found.copies]
    original = None if found.original is None else image(found.original)
    return schemas.Star(original, copies, found.next_cursor)


def neighbours(space_id: str, found: list[NearRecord]) -> schemas.Neighbours:
    """Render the records near another one."""
    items = [schemas.Neighbour(image(near.seen), near.similarity) for near in found]
    return schemas.Neighbours(space_id, items)


def hits(found: SearchResults, seconds: float) -> schemas.Hits:
    """Render the hits of a search that took `seconds`."""
    return schemas.Hits(
        hits=[hit(one) for one in found.hits],
        used=found.used,
        missing=found.missing,
        took_ms=round(seconds * 1000, 1),
    )


def hit(found: FoundPicture) -> schemas.Hit:
    """Render one hit, without the parts it does not have."""
    optional = {
        "distance": found.distance,
        "matched_copy_id": found.matched_copy_id,
        "band": found.band,
        "group": found.group,
    }
    return schemas.Hit(
        image=image(found.seen),
        similarities=schemas.Similarities(**found.similarities),
        rank=found.rank,
        matched_by=found.matched_by,
        **{name: value for name, value in optional.items() if value is not None},  # type: ignore[arg-type]  # named above
    )


def verdict(core: types.Verdict, original: OriginalView | None) -> schemas.Verdict:
    """Render a verdict with its original joined."""
    return schemas.Verdict(
        kind=core.kind,
        original=None
        if original is None or not original.image_id
        else schemas.Original(
            image_id=original.image_id,
            external_id=original.external_id,
            owner_id=original.owner_id,
            decision=decision(original.decision, original.reason) if original.decision else None,
            accepted_at=original.accepted_at,
        ),
        matches=tuple(
            schemas.Match(
                image_id=match.image_id or None,
                kind=match.kind,
                confirmed=match.confirmed,
                evidence=match.evidence,
            )
            for match in core.matches
        ),
        missing=core.missing,
        comparable=core.comparable,
        candidates_truncated=core.candidates_truncated,
        policy_version=core.policy_version,
        pipeline_version=core.pipeline_version,
        revision=core.revision,
        decided_at=core.decided_at,
        decided_by=core.decided_by,
    )


def decision(core: types.Decision, reason: str | None) -> schemas.Decision:
    """Render a decision with its reason joined."""
    return schemas.Decision(value=core.value, reason=reason, by=core.by, at=core.at)


def job(view: JobView) -> schemas.Job:
    """Render a job with its verdict or its error."""
    core = view.job
    return schemas.Job(
        job_id=core.job_id,
        kind=core.kind,
        image_id=core.image_id or None,
        status=core.status,
        verdict=verdict(core.verdict, view.original) if core.verdict else None,
        decision=decision(core.decision, view.reason) if core.decision else None,
        error=written(core.problem) if core.problem else None,
        attempts=core.attempts,
        accepted_at=core.accepted_at,
        finished_at=core.finished_at,
    )


def ended(view: JobView) -> schemas.Item:
    """Render an upload with all fields of its job."""
    whole = job(view)
    return schemas.Item(**{name: getattr(whole, name) for name in schemas.Item.__struct_fields__})


def queued(core: records.Job | JobState) -> schemas.Item:
    """Render an upload just accepted, or with its current status if the call is repeated."""
    status = core.status if isinstance(core, JobState) else "queued"
    return schemas.Item(job_id=core.job_id, image_id=core.image_id, status=status)


def statistics(counts: TenantCounts) -> standing.Statistics:
    """Render counts, with the log entries that the index lacks."""
    stats = counts.stats
    return standing.Statistics(
        total=_group(stats.total),
        categories={name: _group(group) for name, group in stats.categories.items()},
        queue_depth=counts.waiting,
        log=standing.Log(
            head=counts.head,
            watermark=stats.watermark,
            lag=max(0, counts.head - stats.watermark),
        ),
    )


def problem(error: SeenitError, *, filename: str | None = None) -> schemas.Problem:
    """Render an error as problem+json, with the job of an unsettled picture."""
    unsettled = error.job if isinstance(error, UnsettledError) else None
    return schemas.Problem(
        type=f"/problems/{error.type}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        field=error.field,
        filename=filename,
        job=job(JobView(job=unsettled, original=None, reason=None)) if unsettled else None,
    )


def written(core: records.Problem) -> schemas.Problem:
    """Render the stored error of a job."""
    return schemas.Problem(
        type=f"/problems/{core.type}", title=core.title, status=core.status, detail=core.detail
    )


def _group(group: CategoryCount) -> standing.Group:
    spaces = {name: standing.Coverage(**one._asdict()) for name, one in group.spaces.items()}
    return standing.Group(**group._asdict() | {"spaces": spaces})
