"""Pure functions of settling: `decide` a job against the live records, `apply` the operation.

`decide` reads a view and returns an operation; `apply` overlays the operation's states on earlier
ones. Workers and the serial specification run both, replay runs `apply` only.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, Struct
from msgspec.structs import replace

from core.errors import ConflictError, GoneError, MissingError
from core.event_log.fingerprint_operations import refingerprint
from core.event_log.group_operations import decide_on, delete
from core.event_log.operations import (
    SettleView,
    TenantNow,
    absent,
    held,
    operation,
    picture,
    problem_of,
    refused,
    stale,
)
from core.event_log.overlay_state import OverlayLayer
from core.event_log.space_operations import choose
from core.keys import is_caption
from core.matching.verdict import ConfirmedMatch, Rules, look
from core.records import (
    Embedded,
    Entry,
    Job,
    LogPlace,
    Operation,
    Outcome,
    Problem,
    Refingerprinted,
    State,
    Tombstone,
)
from core.types import Absent, Decision, Query, Verdict


class Claim(Struct, frozen=True, kw_only=True):
    """A job with the results of its fingerprinting, ready to be settled."""

    job: Job
    query: Query | None = None
    """The query of a decoded upload."""
    spaces: tuple[str, ...] = ()
    """space_ids of an upload's vectors, or of the vectors of an edit's new caption."""
    embedded: tuple[Embedded, ...] = ()
    """The vectors that an `embed` wrote."""
    refingerprinted: tuple[Refingerprinted, ...] = ()
    """The fingerprints that a `refingerprint` wrote."""
    problem: Problem | None = None
    """The reason why an upload failed."""
    missing: tuple[Absent, ...] = ()


def decide(view: SettleView, claim: Claim, now: TenantNow, rules: Rules) -> Operation:
    """Return the operation of a job, or its next step if it takes several."""
    match claim.job.kind:
        case "ingest":
            return _ingest(view, claim, now, rules)
        case "delete":
            return delete(view, claim.job, now, rules)
        case "decide":
            return decide_on(view, claim.job, now, rules)
        case "purge":
            return _purge(view, claim.job, now)
        case "edit":
            return _edit(view, claim, now)
        case _:
            return _of_many(view, claim, now)


def _of_many(view: SettleView, claim: Claim, now: TenantNow) -> Operation:
    """Settle a job that concerns no single picture."""
    if claim.job.kind == "refingerprint":
        return refingerprint(view, claim.job, claim.refingerprinted, now)
    return choose(view, claim.job, claim.embedded, now)


def apply(layer: OverlayLayer, operation: Operation, seq: int) -> None:
    """Overlay an operation of entry `seq` on a layer."""
    layer.put(operation.states, tombstones(operation, seq))
    if operation.standing is not None:
        layer.standings[operation.standing.kind] = operation.standing
    layer.outcomes.update((outcome.job_id, outcome) for outcome in outcomes(operation, seq))


def laid(entry: Entry) -> OverlayLayer:
    """Return the layer of one entry."""
    layer = OverlayLayer()
    for one in entry.operations:
        apply(layer, one, entry.seq)
    return layer


def tombstones(operation: Operation, seq: int) -> list[Tombstone]:
    """Return the tombstones of the records that an operation removed."""
    return [Tombstone(one, seq, operation.finished_at) for one in operation.removed]


def outcomes(operation: Operation, seq: int) -> Iterator[Outcome]:
    """Yield the outcome of every job that an operation ended."""
    if not operation.last:
        return
    state = next((s for s in operation.states if s.image_id == operation.image_id), None)
    settled = state if operation.kind == "settled" else None
    yield Outcome(
        job_id=operation.job,
        image_id=operation.image_id,
        kind=operation.job_kind,
        seq=seq,
        accepted_at=operation.accepted_at,
        finished_at=operation.finished_at,
        verdict=settled.verdict if settled is not None else None,
        # A delete tells no decision, also if it left an entry in a bank.
        decision=state.decision if state is not None and operation.kind != "hidden" else None,
        problem=operation.problem,
    )
    for ended in operation.also:
        yield Outcome(
            job_id=ended.job_id,
            image_id=operation.image_id,
            kind="ingest",
            seq=seq,
            accepted_at=ended.accepted_at,
            finished_at=operation.finished_at,
            problem=problem_of(GoneError("the picture was deleted before it was settled")),
        )


def first_verdict(
    finding: ConfirmedMatch,
    query: Query,
    rules: Rules,
    at: str,
    missing: tuple[Absent, ...] = (),
) -> tuple[Verdict, Decision]:
    """Return the verdict and decision of a picture that was never settled."""
    verdict = Verdict(
        kind=finding.kind,
        original=finding.original,
        matches=finding.matches,
        missing=missing,
        comparable=query.fingerprint.comparable,
        candidates_truncated=finding.truncated,
        policy_version=rules.policy_version,
        pipeline_version=rules.pipeline_version,
        decided_at=at,
    )
    return verdict, Decision(value=finding.value, by="policy", at=at)


# --- uploads ------------------------------------------------------------------------------------


def _ingest(view: SettleView, claim: Claim, now: TenantNow, rules: Rules) -> Operation:
    job = claim.job
    if job.job_id != job.image_id:
        if view.gone(job.image_id):
            return refused(job, now, GoneError(f"picture {job.image_id} was deleted"))
        if view.state(job.image_id) is not None:
            return refused(job, now, ConflictError(f"picture {job.image_id} was settled already"))
    query = claim.query
    if query is None:
        problem = claim.problem or problem_of(MissingError("the picture has no fingerprint"))
        return operation(job, now, "failed", problem=problem)
    finding = look(view, query, rules, fields=job.fields)
    verdict, decision = first_verdict(finding, query, rules, now.at, claim.missing)
    copy = verdict.original is not None
    state = State(
        image_id=job.image_id,
        sha256=query.fingerprint.sha256,
        pixels=query.fingerprint.pixels_sha256,
        accepted_at=job.accepted_at,
        updated_at=now.at,
        verdict=verdict,
        decision=decision,
        anchor=None if copy else LogPlace(now.seq, now.n),
        content="stored" if job.keep_bytes or not _stored(view, query) else "discarded",
        fields=job.fields,
        spaces=claim.spaces,
        unlisted=finding.unlisted,
    )
    return operation(job, now, "settled", states=(state,))


def _stored(view: SettleView, query: Query) -> bool:
    """Return whether another record stores the same bytes, so that these may be discarded."""
    return any(
        state.content == "stored" and state.image_id != query.image_id and not state.closed
        for state in view.same_bytes(query.fingerprint.sha256)
    )


# --- operations ---------------------------------------------------------------------------------


def _purge(view: SettleView, job: Job, now: TenantNow) -> Operation:
    state = picture(view, job.image_id)
    if state is None:
        return absent(view, job, now)
    if (wrong := stale(state, job, now) or held(state, job, now)) is not None:
        return wrong
    if state.content == "purged":
        return operation(job, now, "purged")
    purged = replace(state, content="purged", updated_at=now.at, revision=state.revision + 1)
    return operation(job, now, "purged", states=(purged,))


def _edit(view: SettleView, claim: Claim, now: TenantNow) -> Operation:
    job = claim.job
    state = picture(view, job.image_id)
    if state is None:
        return absent(view, job, now)
    if (wrong := stale(state, job, now)) is not None:
        return wrong
    edited = replace(state, updated_at=now.at, revision=state.revision + 1)
    if job.fields is not None:
        visual = (one for one in state.spaces if not is_caption(one))
        edited = replace(edited, fields=job.fields, spaces=(*visual, *claim.spaces))
    if job.hold_until is not UNSET:
        if job.hold_until is not None and state.closed:
            return refused(
                job, now, ConflictError("the picture is being deleted: it cannot be held")
            )
        edited = replace(edited, hold_until=job.hold_until)
    return operation(job, now, "edited", states=(edited,))
