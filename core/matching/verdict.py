"""The verdict: equal bytes, equal pixels, an alignment, a variant, mere similarity, or new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from core.errors import MissingError
from core.evidence import Comparison, Evidence
from core.matching.candidates import unaligned
from core.matching.decisions import Decisions, inherited, stricter
from core.matching.exact_twins import find_twin, matches_of
from core.matching.subject import SeesPictures, Subject
from core.records import LogPlace, State
from core.types import Hit, Kind, Match, Query, Value


class Rules(Struct, frozen=True, kw_only=True):
    """Everything that a verdict depends on besides the pictures."""

    policy_version: str
    pipeline_version: str
    worth: Callable[[Sequence[Hit], str | None], AbstractSet[str]]
    """Selects the candidates worth an alignment, by the space that was searched."""
    judged: Callable[[Sequence[Comparison]], Sequence[Comparison]] = list
    """Turns copies whose evidence is common to many candidates into variants."""
    agrees: Callable[[Hit], bool]
    """Whether hash or features match by themselves, which counts against a purged picture."""
    similar_at: Callable[[str | None], float | None]
    """Cosine in the query's visual space from which two are `similar`; None if unknown."""
    decisions: Decisions = Decisions()
    matches: int = 20
    """Matches listed in a verdict, at most."""
    copies: int = 32
    """Copies that one operation evaluates again or decides on, at most."""


class ConfirmedMatch(NamedTuple):
    """Result for a picture: kind, original, matches and decision."""

    kind: Kind
    value: Value
    """Decision that follows from the result."""
    original: str | None = None
    matches: tuple[Match, ...] = ()
    truncated: bool = False
    unlisted: tuple[Match, ...] = ()
    """Confirmed matches beyond those listed, with the evidence that a decision depends on."""


class _Candidate(NamedTuple):
    """Live anchor that a source found near the picture."""

    state: State
    hit: Hit
    anchor: LogPlace
    worth: bool
    """Whether it is worth an alignment."""


class _AlignedHit(NamedTuple):
    """Candidate with the result of its alignment."""

    state: State
    hit: Hit
    evidence: Evidence
    place: LogPlace | None
    """Place of an anchor that confirmed it, else None."""
    worth: bool
    """Whether it was worth an alignment."""
    whole: bool
    """Whether hash and features cover all of both pictures, whose pixels are left."""
    variant: bool
    """Whether the pixels have its layout or scene, and other content."""

    @property
    def kind(self) -> Kind:
        """Return the kind of the match with it."""
        if self.place is not None:
            return "near_duplicate"
        return "variant" if self.variant else "similar"


def look(
    sees: SeesPictures,
    query: Query,
    rules: Rules,
    *,
    fields: str | None = None,
    before: LogPlace | None = None,
    blind: bool = False,
) -> ConfirmedMatch:
    """Decide what a picture is among the live records: exact, a copy, a variant, similar or new.

    `fields` is the op_id of the picture's own fields. With `before`, its own place as an anchor,
    only anchors of a lower place confirm it, so that no two are copies of each other; variants may
    name each other. A `blind` picture has no pixels left, so nothing can be aligned with it.
    """
    subject = Subject(sees, query, fields, before, blind)
    found = _looked(subject, rules)
    return found._replace(value="block") if _in_bank(subject) else found


def _in_bank(subject: Subject) -> bool:
    """Return whether a bank holds the digest of the same bytes, whatever its original is now."""
    return any(
        one.bank is not None and not one.closed and one.image_id != subject.query.image_id
        for one in subject.sees.same_bytes(subject.query.fingerprint.sha256)
    )


def _looked(subject: Subject, rules: Rules) -> ConfirmedMatch:
    sees, query = subject.sees, subject.query
    twin = find_twin(subject)
    if twin is not None:
        matches = tuple(matches_of(subject, twin))
        value, original = twin.record.decision.value, twin.root.image_id
        return _listed(ConfirmedMatch(twin.kind, value, original, matches), rules)
    looks_alike = _looks_alike(query, rules)
    candidates = sees.near(query)
    worthy = rules.worth(candidates.hits, query.space_id)
    near = []
    for hit in candidates.hits:
        worth = hit.image_id in worthy
        state = sees.state(hit.image_id) if worth or looks_alike(hit) else None
        if state is not None and state.anchor is not None and not state.closed:
            near.append(_Candidate(state, hit, state.anchor, worth))
    judged = rules.judged(_compared(subject, near))
    laid = list(map(partial(_aligned, subject), near, judged))
    found = _copy(laid, rules) or _no_copy(laid, rules, looks_alike)
    return _listed(found, rules)._replace(truncated=candidates.truncated)


def _compared(subject: Subject, near: Sequence[_Candidate]) -> list[Comparison]:
    """Lay the picture over the candidates that are worth it, where both have pixels.

    The log decides whether there are pixels, not the objects that happen to remain: the verdict
    must not depend on the progress of a purge.
    """
    hits = [one.hit for one in near if one.worth and subject.has_pixels(one.state)]
    compared = (
        dict(zip(hits, subject.sees.compare(subject.query, hits), strict=True)) if hits else {}
    )
    return [
        compared.get(one.hit)
        or unaligned(one.hit, "looks_alike" if subject.has_pixels(one.state) else "no_pixels")
        for one in near
    ]


def _aligned(subject: Subject, one: _Candidate, comparison: Comparison) -> _AlignedHit:
    """Join a candidate with its comparison."""
    uncompared = subject.query.fingerprint.uncompared
    pixels = subject.has_pixels(one.state) or _whole(subject.sees, one.hit.image_id)
    confirmed = comparison.confirmed and subject.precedes(one.anchor)
    return _AlignedHit(
        state=one.state,
        hit=one.hit,
        evidence=subject.with_owner(comparison.evidence, one.state),
        place=one.anchor if confirmed else None,
        worth=one.worth,
        whole=not uncompared and pixels,
        variant=comparison.relation == "variant",
    )


def _whole(sees: SeesPictures, image_id: str) -> bool:
    """Return whether a stored picture's canonical pixels are all that it shows."""
    try:
        return not sees.query(image_id).fingerprint.uncompared
    except MissingError:  # deleted by an entry that was not read yet: the append will find it
        return False


def _listed(found: ConfirmedMatch, rules: Rules) -> ConfirmedMatch:
    """List as many matches as a verdict may; of further confirmed ones keep what decides."""
    unlisted = tuple(
        replace(
            match,
            evidence=Evidence(
                changed_regions=match.evidence.changed_regions,
                uncompared=match.evidence.uncompared,
            ),
        )
        for match in found.matches[rules.matches :]
        if match.confirmed
    )
    return found._replace(matches=found.matches[: rules.matches], unlisted=unlisted)


def _copy(laid: Sequence[_AlignedHit], rules: Rules) -> ConfirmedMatch | None:
    """Return the earliest anchor that confirmed the picture, and the strictest decision of all."""
    confirmed = sorted((one for one in laid if one.place is not None), key=_by_place)
    if not confirmed:
        return None
    value: Value = "allow"
    for one in confirmed:
        due = inherited(one.state.decision.value, one.evidence, rules.decisions)
        value = stricter(value, due)
    others = sorted((one for one in laid if one.place is None), key=_variants_first)
    matches = map(_match, (*confirmed, *others))
    return ConfirmedMatch("near_duplicate", value, confirmed[0].state.image_id, tuple(matches))


def _no_copy(
    laid: Sequence[_AlignedHit], rules: Rules, looks_alike: Callable[[Hit], bool]
) -> ConfirmedMatch:
    """Return `variant`, `similar` to the best, or `new`; a purged picture may have returned."""
    ordered = sorted(
        laid, key=lambda one: -(one.hit.similarity or 0.0) if looks_alike(one.hit) else 0.0
    )
    ordered.sort(key=_variants_first)
    kind: Literal["variant", "similar", "new"] = "new"
    if any(one.variant for one in ordered):
        kind = "variant"
    elif any(looks_alike(one.hit) for one in ordered):
        kind = "similar"
    value: Value = getattr(rules.decisions, kind)
    for one in ordered:
        value = stricter(value, _variant_review(one) if one.variant else _taken_down(one, rules))
    return ConfirmedMatch(kind, value, None, tuple(map(_match, ordered)))


# --- candidates ---------------------------------------------------------------------------------


def _looks_alike(query: Query, rules: Rules) -> Callable[[Hit], bool]:
    threshold = rules.similar_at(query.space_id)

    def looks_alike(hit: Hit) -> bool:
        return threshold is not None and hit.similarity is not None and hit.similarity >= threshold

    return looks_alike


def _match(one: _AlignedHit) -> Match:
    return Match(
        image_id=one.state.image_id,
        kind=one.kind,
        confirmed=one.place is not None,
        evidence=one.evidence,
    )


def _by_place(one: _AlignedHit) -> LogPlace:
    return one.place if one.place is not None else LogPlace(0, 0)


def _variants_first(one: _AlignedHit) -> bool:
    return not one.variant


def _variant_review(one: _AlignedHit) -> Value:
    """Return `review` for a variant of a blocked picture, or one whose print is too small."""
    unread = any(statement.code == "small_print" for statement in one.evidence.statements)
    return "review" if unread or one.state.decision.value == "block" else "allow"


def _taken_down(one: _AlignedHit, rules: Rules) -> Value:
    """Return the decision for an unconfirmed match with a purged picture, which has no pixels."""
    if one.state.content != "purged" or not one.worth:
        return "allow"
    blocked = one.state.decision.value == "block" and one.whole and rules.agrees(one.hit)
    return "block" if blocked else "review"
