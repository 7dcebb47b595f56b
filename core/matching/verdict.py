"""Reaching a verdict: the same bytes, the same pixels, an alignment, mere likeness, or new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from core.errors import MissingError
from core.records import LogPlace, State
from core.types import Candidates, Comparison, Evidence, Hit, Kind, Match, Query, Value

STRICTNESS: dict[Value, int] = {"allow": 0, "review": 1, "block": 2}


class Decisions(Struct, frozen=True, kw_only=True):
    """What the policy decides where no person has."""

    new: Value = "allow"
    similar: Value = "allow"
    changed: Value = "review"
    """Of a copy with changed regions whose original is allowed."""


class Rules(Struct, frozen=True, kw_only=True):
    """All that a verdict depends on besides the pictures."""

    policy_version: str
    pipeline_version: str
    worth: Callable[[Sequence[Hit], str | None], AbstractSet[str]]
    """Which candidates are worth laying the picture over, by the space that was asked."""
    agrees: Callable[[Hit], bool]
    """Whether hash or features agree by themselves: what counts against a purged picture."""
    similar_at: Callable[[str | None], float | None]
    """Cosine in the query's visual space from which two are `similar`; None where unknown."""
    decisions: Decisions = Decisions()
    matches: int = 20
    """Most that a verdict lists."""
    copies: int = 32
    """Most copies that one operation settles anew or decides on."""


class SeesPictures(Protocol):
    """What a verdict looks at: the live records of one tenant at one moment."""

    def state(self, image_id: str) -> State | None:
        """Of a live record."""

    def same_bytes(self, sha256: str) -> Sequence[State]:
        """Live records of that digest."""

    def same_pixels(self, pixels: str) -> Sequence[State]:
        """Live records of that digest."""

    def query(self, image_id: str) -> Query:
        """A stored picture as it asks for candidates. Raise MissingError."""

    def near(self, query: Query) -> Candidates:
        """Live anchors other than itself that take new copies."""

    def compare(self, query: Query, hit: Hit) -> Comparison:
        """The picture laid over a candidate."""

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """The caller's own owner_id."""


class ConfirmedMatch(NamedTuple):
    """What a picture turned out to be."""

    kind: Kind
    value: Value
    """The decision that follows."""
    original: str | None = None
    matches: tuple[Match, ...] = ()
    truncated: bool = False


class _ExactTwin(NamedTuple):
    """A record with the same bytes or pixels, and the anchor that stands for it."""

    record: State
    root: State
    place: LogPlace
    kind: Literal["exact", "near_duplicate"] = "exact"


class _AlignedHit(NamedTuple):
    """A candidate and what came of laying the picture over it."""

    state: State
    hit: Hit
    evidence: Evidence
    place: LogPlace | None
    """Of an anchor that confirmed it, None where it did not."""
    worth: bool
    """Whether it was worth laying the picture over."""
    whole: bool
    """Whether hash and features are of all that the two show, of which pixels are left."""


def stricter(one: Value, other: Value) -> Value:
    """The stricter of two decisions."""
    return max(one, other, key=STRICTNESS.__getitem__)


def inherited(original: Value, proof: Evidence | None, decisions: Decisions) -> Value:
    """Return a copy's decision: its original's, as far as the two were compared.

    What was laid over the original is not approved with it. What nobody compared, such as later
    frames, is as new: neither approved nor blocked with the original, whose block asks for a
    review of it.
    """
    value = original
    if proof is not None and proof.uncompared:
        value = stricter(decisions.new, "allow" if original == "allow" else "review")
    if proof is not None and proof.changed_regions and value == "allow":
        value = decisions.changed
    return value


def proof_of(state: State) -> Evidence | None:
    """Return the evidence that a copy is one, None for an original."""
    for match in state.verdict.matches:
        if match.confirmed and match.image_id == state.verdict.original:
            return match.evidence
    return None


def look(
    sees: SeesPictures,
    query: Query,
    rules: Rules,
    *,
    fields: str | None = None,
    before: LogPlace | None = None,
    blind: bool = False,
) -> ConfirmedMatch:
    """Decide what a picture is among the live records.

    `fields` is the op_id of the picture's own fields. With `before`, its own place as an anchor,
    only anchors of a lower place count, so that two never point at each other. A `blind` picture
    has no pixels left: nothing can be laid over anything.
    """

    def theirs(evidence: Evidence, state: State) -> Evidence:
        owner = sees.owner(query.image_id, fields)
        if owner is None:
            return evidence
        return replace(evidence, same_owner=owner == sees.owner(state.image_id, state.fields))

    twin = _twin_by_bytes(sees, query, before) or _twin_by_pixels(sees, query, before)
    if twin is not None:
        evidence = theirs(_same(twin), twin.root)
        match = Match(
            image_id=twin.root.image_id, kind=twin.kind, confirmed=True, evidence=evidence
        )
        return ConfirmedMatch(twin.kind, twin.record.decision.value, twin.root.image_id, (match,))
    if not query.fingerprint.comparable:
        return ConfirmedMatch("new", rules.decisions.new)

    looks_alike = _looks_alike(query, rules)
    candidates = sees.near(query)
    worthy = rules.worth(candidates.hits, query.space_id)
    laid = []
    for hit in candidates.hits:
        worth = hit.image_id in worthy
        state = sees.state(hit.image_id) if worth or looks_alike(hit) else None
        if state is None or state.anchor is None or state.closed:
            continue
        pixels = not blind and state.content != "purged"
        comparison = _compare(sees, query, hit, worth=worth, pixels=pixels)
        counts = comparison.confirmed and (before is None or state.anchor < before)
        evidence = theirs(comparison.evidence, state)
        place = state.anchor if counts else None
        whole = not query.fingerprint.uncompared and (pixels or _whole(sees, hit.image_id))
        laid.append(_AlignedHit(state, hit, evidence, place, worth, whole))
    found = _copy(laid, rules) or _no_copy(laid, rules, looks_alike)
    return found._replace(matches=found.matches[: rules.matches], truncated=candidates.truncated)


def _copy(laid: Sequence[_AlignedHit], rules: Rules) -> ConfirmedMatch | None:
    """Of what confirmed it, the anchor that came first is its original."""
    confirmed = sorted((one for one in laid if one.place is not None), key=_by_place)
    if not confirmed:
        return None
    first = confirmed[0]
    value = inherited(
        first.state.decision.value,
        first.evidence,
        rules.decisions,
    )
    matches = [_match(one, "near_duplicate") for one in confirmed]
    matches += [_match(one, "similar") for one in laid if one.place is None]
    return ConfirmedMatch("near_duplicate", value, first.state.image_id, tuple(matches))


def _no_copy(
    laid: Sequence[_AlignedHit], rules: Rules, looks_alike: Callable[[Hit], bool]
) -> ConfirmedMatch:
    """Similar to the best, or new; a purged picture that may have come back is looked at."""
    ordered = sorted(
        laid, key=lambda one: -(one.hit.similarity or 0.0) if looks_alike(one.hit) else 0.0
    )
    alike = any(looks_alike(one.hit) for one in ordered)
    value = rules.decisions.similar if alike else rules.decisions.new
    for one in ordered:
        value = stricter(value, _taken_down(one, rules))
    matches = tuple(_match(one, "similar") for one in ordered)
    return ConfirmedMatch("similar" if alike else "new", value, None, matches)


# --- the same -----------------------------------------------------------------------------------


def _twin_by_bytes(sees: SeesPictures, query: Query, before: LogPlace | None) -> _ExactTwin | None:
    records = sees.same_bytes(query.fingerprint.sha256)
    return _twin(sees, records, query.image_id, before)


def _twin_by_pixels(sees: SeesPictures, query: Query, before: LogPlace | None) -> _ExactTwin | None:
    """Return the twin with the same pixels, where those are all that both pictures show.

    Canonical pixels are those of the first frame over white: many animations and scans begin with
    the same blank or title page, and white stickers on a transparent ground differ in nothing. And
    a flat or tiny picture has those of many others.
    """
    if query.fingerprint.uncompared or not query.fingerprint.comparable:
        return None
    records = [
        record
        for record in sees.same_pixels(query.fingerprint.pixels_sha256)
        if record.image_id != query.image_id and _whole(sees, record.image_id)
    ]
    twin = _twin(sees, records, query.image_id, before)
    return twin and twin._replace(kind="near_duplicate")


def _whole(sees: SeesPictures, image_id: str) -> bool:
    """Whether a stored picture's canonical pixels are all that it shows."""
    try:
        return not sees.query(image_id).fingerprint.uncompared
    except MissingError:  # deleted by an entry that was not read yet: the append will find it
        return False


def _twin(
    sees: SeesPictures, records: Sequence[State], me: str, before: LogPlace | None
) -> _ExactTwin | None:
    """The twin whose anchor came first; of those, what a person said, then the strictest."""
    twins: list[_ExactTwin] = []
    for record in records:
        root = record if record.anchor is not None else sees.state(record.original)
        if (
            record.image_id != me
            and root is not None
            and root.image_id != me
            and root.anchor is not None
            and not root.closed
            and (before is None or root.anchor < before)
        ):
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


def _same(twin: _ExactTwin) -> Evidence:
    signal, words = (
        ("sha256", "the same file, byte for byte")
        if twin.kind == "exact"
        else ("pixels", "another file with the same pixels")
    )
    proof = proof_of(twin.record) if twin.record.image_id != twin.root.image_id else None
    if proof is None:
        return Evidence(signals=(signal,), hamming=0, turn="none", overlap=1.0, words=words)
    signals = (signal, *(name for name in proof.signals if name not in ("sha256", "pixels")))
    plain = proof.words in ("", "the same file, byte for byte", "another file with the same pixels")
    return replace(
        proof,
        signals=signals,
        same_owner=None,
        words=words if plain else f"{words}, as an earlier copy: {proof.words}",
    )


# --- candidates ---------------------------------------------------------------------------------


def _looks_alike(query: Query, rules: Rules) -> Callable[[Hit], bool]:
    threshold = rules.similar_at(query.space_id)

    def looks_alike(hit: Hit) -> bool:
        return threshold is not None and hit.similarity is not None and hit.similarity >= threshold

    return looks_alike


def _compare(
    sees: SeesPictures, query: Query, hit: Hit, *, worth: bool, pixels: bool
) -> Comparison:
    """Laid over where it is worth that and both pictures are there, else what the hit says.

    Whether there are pixels is what the log says, not what happens to be stored still: the verdict
    must not depend on how far the removal of a purged picture has come.
    """
    if worth and pixels:
        return sees.compare(query, hit)
    signals = (
        *(("phash",) if hit.hamming is not None else ()),
        *(("visual",) if hit.similarity is not None else ()),
        *(("features",) if hit.votes is not None else ()),
    )
    return Comparison(
        confirmed=False,
        evidence=Evidence(
            signals=signals,
            hamming=hit.hamming,
            similarity=hit.similarity,
            votes=hit.votes,
            words="looks alike" if pixels else "there are no pixels left to lay it over",
        ),
    )


def _match(one: _AlignedHit, kind: Kind) -> Match:
    return Match(
        image_id=one.state.image_id,
        kind=kind,
        confirmed=one.place is not None,
        evidence=one.evidence,
    )


def _by_place(one: _AlignedHit) -> LogPlace:
    return one.place if one.place is not None else LogPlace(0, 0)


def _taken_down(one: _AlignedHit, rules: Rules) -> Value:
    """What an unconfirmed match with a purged picture asks for: there are no pixels to lay over."""
    if one.state.content != "purged" or not one.worth:
        return "allow"
    blocked = one.state.decision.value == "block" and one.whole and rules.agrees(one.hit)
    return "block" if blocked else "review"
