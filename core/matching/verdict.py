"""The verdict: equal bytes, equal pixels, an alignment, a variant, mere similarity, or new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from core.errors import MissingError
from core.evidence import Comparison, Evidence, Signal, Statement
from core.matching.candidates import unaligned
from core.matching.decisions import STRICTNESS, Decisions, inherited, stricter
from core.matching.differences.wording import words
from core.records import LogPlace, State
from core.types import Candidates, Hit, Kind, Match, Query, Value

_SAME = frozenset(("same_file", "same_pixels"))
"""Statements of a twin, which one of an earlier twin does not repeat."""


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


class SeesPictures(Protocol):
    """Port to the live records of one tenant at one moment."""

    def state(self, image_id: str) -> State | None:
        """Return the state of a live record."""

    def same_bytes(self, sha256: str) -> Sequence[State]:
        """Return the live records with that digest of bytes."""

    def same_pixels(self, pixels: str) -> Sequence[State]:
        """Return the live records with that digest of pixels."""

    def query(self, image_id: str) -> Query:
        """Return the query of a stored picture. Raise MissingError."""

    def near(self, query: Query) -> Candidates:
        """Return live anchors that take new copies, without the picture itself."""

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Align the picture with candidates and compare, in order."""

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """Return the owner_id that the caller gave."""


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


class _ExactTwin(NamedTuple):
    """Record with the same bytes or pixels, and the anchor that represents it."""

    record: State
    root: State
    place: LogPlace
    kind: Literal["exact", "near_duplicate"] = "exact"


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


class _Subject(NamedTuple):
    """The picture that a verdict is about, as `look` takes it."""

    sees: SeesPictures
    query: Query
    fields: str | None
    before: LogPlace | None
    blind: bool

    def precedes(self, anchor: LogPlace) -> bool:
        """Return whether an anchor may be this picture's original, by its place in the log."""
        return self.before is None or anchor < self.before

    def with_owner(self, evidence: Evidence, state: State) -> Evidence:
        """Say whether both pictures have the same owner, where this one has any."""
        owner = self.sees.owner(self.query.image_id, self.fields)
        if owner is None:
            return evidence
        same = owner == self.sees.owner(state.image_id, state.fields)
        return replace(evidence, same_owner=same)

    def has_pixels(self, state: State) -> bool:
        """Return whether both pictures have pixels to compare."""
        return not self.blind and state.content != "purged"

    def compare(self, near: Sequence[_Candidate]) -> list[Comparison]:
        """Lay the picture over the candidates that are worth it, where both have pixels.

        The log decides whether there are pixels, not the objects that happen to remain: the verdict
        must not depend on the progress of a purge.
        """
        hits = [one.hit for one in near if one.worth and self.has_pixels(one.state)]
        compared = dict(zip(hits, self.sees.compare(self.query, hits), strict=True)) if hits else {}
        return [
            compared.get(one.hit)
            or unaligned(one.hit, "looks_alike" if self.has_pixels(one.state) else "no_pixels")
            for one in near
        ]

    def aligned(self, one: _Candidate, comparison: Comparison) -> _AlignedHit:
        """Join a candidate with its comparison."""
        uncompared = self.query.fingerprint.uncompared
        pixels = self.has_pixels(one.state) or _whole(self.sees, one.hit.image_id)
        confirmed = comparison.confirmed and self.precedes(one.anchor)
        return _AlignedHit(
            state=one.state,
            hit=one.hit,
            evidence=self.with_owner(comparison.evidence, one.state),
            place=one.anchor if confirmed else None,
            worth=one.worth,
            whole=not uncompared and pixels,
            variant=comparison.relation == "variant",
        )


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
    subject = _Subject(sees, query, fields, before, blind)
    same_bytes = sees.same_bytes(query.fingerprint.sha256)
    twin = _twin(subject, same_bytes) or _twin_by_pixels(subject)
    if twin is not None:
        matches = tuple(_matches_of(subject, twin))
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
    judged = rules.judged(subject.compare(near))
    laid = list(map(subject.aligned, near, judged))
    found = _copy(laid, rules) or _no_copy(laid, rules, looks_alike)
    return _listed(found, rules)._replace(truncated=candidates.truncated)


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


# --- the same -----------------------------------------------------------------------------------


def _twin_by_pixels(subject: _Subject) -> _ExactTwin | None:
    """Return the twin with the same pixels, if those are all that both pictures show.

    Canonical pixels are those of one frame: many animations and scans begin with the same title
    page, so the digest over all frames has to agree as well. A flat or tiny picture shares its
    pixels with many others.
    """
    sees, query = subject.sees, subject.query
    if not query.fingerprint.digested or not query.fingerprint.comparable:
        return None
    records = [
        record
        for record in sees.same_pixels(query.fingerprint.pixels_sha256)
        if record.image_id != query.image_id and _same_frames(sees, query, record.image_id)
    ]
    twin = _twin(subject, records)
    return twin and twin._replace(kind="near_duplicate")


def _same_frames(sees: SeesPictures, query: Query, image_id: str) -> bool:
    """Return whether the digests cover all of a stored picture, and those of its frames agree."""
    try:
        stored = sees.query(image_id).fingerprint
    except MissingError:  # deleted by an entry that was not read yet: the append will find it
        return False
    return stored.digested and stored.frames_sha256 == query.fingerprint.frames_sha256


def _whole(sees: SeesPictures, image_id: str) -> bool:
    """Return whether a stored picture's canonical pixels are all that it shows."""
    try:
        return not sees.query(image_id).fingerprint.uncompared
    except MissingError:  # deleted by an entry that was not read yet: the append will find it
        return False


def _twin(subject: _Subject, records: Sequence[State]) -> _ExactTwin | None:
    """Return the twin with the earliest anchor, then a person's decision, then the strictest."""
    me = subject.query.image_id
    twins: list[_ExactTwin] = []
    for record in records:
        root = record if record.anchor is not None else subject.sees.state(record.original)
        if (
            root is None
            or root.anchor is None
            or root.closed
            or me in {record.image_id, root.image_id}
        ):
            continue
        if subject.precedes(root.anchor):
            twins.append(_ExactTwin(record, root, root.anchor))
    return min(twins, key=_rank) if twins else None


def _rank(twin: _ExactTwin) -> tuple[LogPlace, bool, int, str, str]:
    decision = twin.record.decision
    return (
        twin.place,
        decision.by != "person",
        -STRICTNESS[decision.value],
        twin.record.accepted_at,
        twin.record.image_id,
    )


def _matches_of(subject: _Subject, twin: _ExactTwin) -> Iterator[Match]:
    """Yield the twin's original, then all else that the twin was confirmed against."""
    root = twin.root.image_id
    proofs = twin.record.confirmed if twin.record.image_id != root else {root: None}
    for image_id, proof in proofs.items():
        other = twin.root if image_id == root else subject.sees.state(image_id)
        if other is None or other.anchor is None or other.closed:
            continue
        if image_id != subject.query.image_id and subject.precedes(other.anchor):
            evidence = subject.with_owner(_same(twin, proof), other)
            yield Match(image_id=image_id, kind=twin.kind, confirmed=True, evidence=evidence)


def _same(twin: _ExactTwin, proof: Evidence | None) -> Evidence:
    """Return the evidence of a twin: the same file or pixels, as an earlier copy if it is one."""
    exact = twin.kind == "exact"
    signal: Signal = "sha256" if exact else "pixels"
    first = Statement("same_file" if exact else "same_pixels")
    if proof is None:
        return Evidence(
            signals=(signal,),
            hamming=0,
            turn="none",
            overlap=1.0,
            statements=(first,),
            words=words((first,)),
        )
    said = (first, *(one for one in proof.statements if one.code not in _SAME))
    told = words(said)
    if not proof.statements and proof.words:  # stored before there were statements
        told = f"{told}, as an earlier copy: {proof.words}"
    signals = (signal, *(name for name in proof.signals if name not in {"sha256", "pixels"}))
    return replace(proof, signals=signals, same_owner=None, statements=said, words=told)


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
