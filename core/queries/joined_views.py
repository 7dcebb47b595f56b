"""Read models, with the original's data and the decision's reason, which the log stores by id.

They are joined on reading, so that a delete removes them too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct
from msgspec.structs import replace

from core.filters import SHOWN, shows
from core.keys import is_caption
from core.queries.jobs import JobState
from core.queries.snapshot import Snapshot
from core.records import Record
from core.types import Decision, Match, SpaceKind, Verdict

BANKED = "a blocked picture that was deleted"
"""Words for an entry of a bank, which are all that readers learn about it."""


class OriginalView(Struct, frozen=True, kw_only=True):
    """The original that a verdict names, with its owner and decision."""

    image_id: str
    """Empty, and all else unset, for a picture that was deleted into a bank."""
    external_id: str | None = None
    owner_id: str | None = None
    decision: Decision | None = None
    reason: str | None = None
    """The reason of its decision."""
    accepted_at: str | None = None
    """None, like the others, if that record was deleted since."""
    revision: int = 0


class RecordView(Struct, frozen=True, kw_only=True):
    """A record with its original and the reason of its decision."""

    record: Record
    original: OriginalView | None
    reason: str | None
    spaces: dict[SpaceKind, str] = {}
    """By kind, the space in which it has a vector: the active one, or, if the log names none, the
    newest."""
    chosen: bool = False
    """Whether the log names the active spaces."""
    gone: int = 0
    """Number of its verdict's matches left out, as those pictures were deleted since."""


class JobView(Struct, frozen=True, kw_only=True):
    """A job with the original its verdict names and the reason of its decision."""

    job: JobState
    original: OriginalView | None
    reason: str | None


def records(snapshot: Snapshot, found: Sequence[Record]) -> list[RecordView]:
    """Return records with their originals and reasons, in order."""
    reasons = _reasons(snapshot, [(one.state.image_id, one.state.decision) for one in found])
    joined = originals(snapshot, [record.state.verdict for record in found])
    gone, banked = _deleted(snapshot, [record.state.verdict for record in found], joined)
    spaces = snapshot.active_spaces()
    active = {kind: one.active.space.space_id for kind, one in spaces.items()}
    return [
        RecordView(
            record=_without(record, gone, banked),
            original=joined.get(record.state.verdict.original or ""),
            reason=reasons.get((record.state.image_id, record.state.decision.reason)),
            spaces=_spaces(record.state.spaces, active),
            chosen=bool(active),
            gone=sum(match.image_id in gone for match in record.state.verdict.matches),
        )
        for record in found
    ]


def shown(seen: RecordView, wanted: Collection[str] = SHOWN) -> bool:
    """Return whether a picture may be shown to a caller who requests these decisions.

    A copy whose original was just deleted is held back until it is settled again.
    """
    state = seen.record.state
    originals: str | None = state.decision.value
    if state.original != state.image_id:
        made = seen.original.decision if seen.original is not None else None
        originals = None if made is None else made.value
    return shows(state.decision.value, originals, wanted)


def for_readers(snapshot: Snapshot, found: Sequence[RecordView]) -> list[RecordView]:
    """Return views, for a key of role `read`, that name no picture which it may not see."""
    verdicts = [seen.record.state.verdict for seen in found]
    hidden = hidden_in(snapshot, verdicts)
    return [
        replace(
            seen,
            record=_without(seen.record, hidden),
            original=None if verdict.original in hidden else seen.original,
            gone=seen.gone + sum(match.image_id in hidden for match in verdict.matches),
        )
        for seen, verdict in zip(found, verdicts, strict=True)
    ]


def hidden_in(snapshot: Snapshot, verdicts: Iterable[Verdict]) -> set[str]:
    """Return the pictures that some verdicts name and a key of role `read` may not see."""
    named: set[str] = set()
    for verdict in verdicts:
        named |= {match.image_id for match in verdict.matches}
        named |= {verdict.original} if verdict.original else set()
    return named - snapshot.shown(sorted(named - {""})) if named else named


def _spaces(held: Sequence[str], active: Mapping[SpaceKind, str]) -> dict[SpaceKind, str]:
    """Return the space of each kind to report for a record with vectors in `held`."""
    found: dict[SpaceKind, str] = {}
    for space_id in held:
        kind: SpaceKind = "caption" if is_caption(space_id) else "visual"
        if active.get(kind, space_id) == space_id:
            found[kind] = space_id
    return found


def _deleted(
    snapshot: Snapshot, verdicts: Iterable[Verdict | None], joined: Mapping[str, OriginalView]
) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return the deleted pictures that verdicts match, and which of them a bank has.

    Originals that are `joined` with their data exist, and are not looked up again.
    """
    named = {match.image_id for one in verdicts if one is not None for match in one.matches}
    named -= {image_id for image_id, one in joined.items() if one.accepted_at is not None}
    gone = snapshot.gone(sorted(named)) if named else set()
    return gone, snapshot.banked(sorted(gone))


def _without(
    record: Record, gone: AbstractSet[str], banked: AbstractSet[str] = frozenset()
) -> Record:
    """Drop a record's matches with some pictures, as `without_matches` does."""
    verdict = without_matches(record.state.verdict, gone, banked)
    if verdict is record.state.verdict:
        return record
    return replace(record, state=replace(record.state, verdict=verdict))


def without_matches(
    verdict: Verdict, gone: AbstractSet[str], banked: AbstractSet[str] = frozenset()
) -> Verdict:
    """Drop a verdict's matches with some pictures; return the same verdict if it has none.

    Matches with a bank's entries stay without their id. `original` stays as well, as it decides
    who may see the picture: readers take it from `OriginalView`.
    """
    if gone.isdisjoint(match.image_id for match in verdict.matches):
        return verdict
    left = tuple(
        _nameless(match) if match.image_id in banked else match
        for match in verdict.matches
        if match.image_id not in gone or match.image_id in banked
    )
    return replace(verdict, matches=left)


def _nameless(match: Match) -> Match:
    """Return a match with an entry of a bank, without anything about the picture or its owner."""
    evidence = match.evidence
    words = f"{BANKED}: {evidence.words}" if evidence.words else BANKED
    return replace(match, image_id="", evidence=replace(evidence, same_owner=None, words=words))


def jobs(snapshot: Snapshot, found: Sequence[JobState]) -> list[JobView]:
    """Return jobs with their originals and reasons, in order."""
    reasons = _reasons(snapshot, [(job.image_id, job.decision) for job in found])
    joined = originals(snapshot, [job.verdict for job in found])
    gone, banked = _deleted(snapshot, [job.verdict for job in found], joined)
    return [
        JobView(
            job=replace(job, verdict=without_matches(job.verdict, gone, banked))
            if job.verdict is not None
            else job,
            original=joined.get(job.verdict.original or "") if job.verdict else None,
            reason=reasons.get((job.image_id, job.decision.reason)) if job.decision else None,
        )
        for job in found
    ]


def verdict(snapshot: Snapshot, found: Verdict) -> tuple[Verdict, OriginalView | None]:
    """Return a verdict that is not stored as readers see it, with its original."""
    joined = originals(snapshot, [found])
    gone, banked = _deleted(snapshot, [found], joined)
    return without_matches(found, gone, banked), joined.get(found.original or "")


def originals(snapshot: Snapshot, verdicts: Iterable[Verdict | None]) -> dict[str, OriginalView]:
    """Return the originals that some verdicts name, by image_id."""
    ids = list(dict.fromkeys(v.original for v in verdicts if v is not None and v.original))
    views = {image_id: OriginalView(image_id=image_id) for image_id in ids}
    found = snapshot.records(ids) if ids else []
    held = [record for record in found if record is not None]
    lost = snapshot.banked(sorted(views.keys() - {one.state.image_id for one in held}))
    views |= dict.fromkeys(lost, OriginalView(image_id=""))
    reasons = _reasons(snapshot, [(one.state.image_id, one.state.decision) for one in held])
    for record in held:
        state = record.state
        views[state.image_id] = OriginalView(
            image_id=state.image_id,
            external_id=record.fields.external_id,
            owner_id=record.fields.owner_id,
            decision=state.decision,
            reason=reasons.get((state.image_id, state.decision.reason)),
            accepted_at=state.accepted_at,
            revision=state.revision,
        )
    return views


def _reasons(
    snapshot: Snapshot, decided: Sequence[tuple[str, Decision | None]]
) -> dict[tuple[str, str | None], str | None]:
    """Return the reasons that people gave for decisions, by image_id and operation."""
    given = {(one, made.reason) for one, made in decided if made is not None and made.reason}
    if given:  # all at once
        snapshot.shelf.fetch_fields(snapshot.tenant, given)
    fields = snapshot.shelf.fields
    return {(one, op_id): fields(snapshot.tenant, one, op_id).reason for one, op_id in given}
