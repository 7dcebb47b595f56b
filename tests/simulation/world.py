"""A small world of pictures, jobs, and their serial outcome.

A picture is a letter and a number: `a1` and `a2` have the same letter, hence the same pixels; the
same letter and number are the same bytes. A `~` behind them is an animation whose first frame has
those pixels. The letters that confirm each other, or are variants, are a relation given to the
world: symmetric, and not transitive unless it is made so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from core.event_log.decide import Claim
from core.evidence import ChangedRegion, Comparison, Evidence, Support
from core.matching.common_points import without_common
from core.matching.policy import POLICY
from core.matching.verdict import Rules
from core.records import (
    Embedded,
    Ended,
    Job,
    JobKind,
    Operation,
    Problem,
    Refingerprinted,
    State,
    Tombstone,
)
from core.types import (
    ActiveSpaces,
    Candidates,
    ChosenSpace,
    Erasure,
    Features,
    Fingerprint,
    Hit,
    Query,
    Space,
    SpaceKind,
    Value,
)

TENANT = "t"
LAYOUT = Support(tuple(range(40)), log_nfa=-100.0, tentative=40, sample=4, area=1e5)
"""Keypoints that all pictures of one layout share."""
AT = "2026-01-01T00:00:00.000Z"
EARLIER, LATER = "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.001Z"


def fingerprint(picture: str) -> Fingerprint:
    """Make the fingerprint of a named picture; `_` as its letter is not comparable."""
    return Fingerprint(
        sha256=f"bytes {picture}",
        md5="",
        bytes=1,
        format="png",
        frames=2 if "~" in picture else 1,
        width=1,
        height=1,
        pixels_version=1,
        pixels_sha256=f"pixels {picture[0]}{picture[2:].strip('~')}",
        turns=(picture,) * 8,
        pdq="",
        pdq_quality=0,
        comparable=not picture.startswith("_"),
        features=Features(b"", b"", b"", 1, 1),
    )


def picture_of(found: Fingerprint) -> str:
    """Return the name of a picture."""
    return found.phash


def decoded_again(picture: str) -> str:
    """Return the picture that a newer version decodes: another letter, thus other pixels."""
    return picture if picture.startswith("_") else f"{chr(ord(picture[0]) + 1)}{picture[1:]}"


def of_state(state: State) -> Fingerprint:
    """Make a record's fingerprint from its digest."""
    picture = state.sha256.removeprefix("bytes ")
    return fingerprint(decoded_again(picture) if state.remade is not None else picture)


@dataclass(frozen=True)
class Relation:
    """Pairs of letters that confirm each other, that differ in a region, and that are variants."""

    confirming: frozenset[frozenset[str]] = frozenset()
    changed: frozenset[frozenset[str]] = frozenset()
    variants: frozenset[frozenset[str]] = frozenset()
    template: frozenset[str] = frozenset()
    """Letters whose pictures share the keypoints of one layout, and no others."""

    def rests_on_layout(self, one: str, other: str) -> bool:
        """Return whether only the layout's keypoints and no equal pixels connect the two."""
        return {one[0], other[0]} <= self.template and frozenset((one[0], other[0])) in self.changed

    def confirms(self, one: str, other: str) -> bool:
        """Return whether one aligned with the other agrees."""
        return one[0] == other[0] or frozenset((one[0], other[0])) in self.confirming

    def compare(self, one: str, other: str) -> Comparison:
        """Compare one picture with another."""
        pair = frozenset((one[0], other[0]))
        regions = (ChangedRegion(0, 0, 1, 1),) if pair in self.changed else ()
        evidence = Evidence(
            signals=("alignment",),
            changed_regions=regions,
            uncompared=("frames",) if "~" in one + other else (),
        )
        support = LAYOUT if pair <= self.template else None
        if self.confirms(one, other):
            return Comparison("copy", evidence, support)
        relation = "variant" if pair in self.variants else "unrelated"
        return Comparison(relation, evidence, support)


def measure(query: Query, anchor: Query) -> Hit | None:
    """Measure two pictures by the distance of their letters; all comparable ones are near."""
    if not (query.fingerprint.comparable and anchor.fingerprint.comparable):
        return None
    one, other = picture_of(query.fingerprint), picture_of(anchor.fingerprint)
    return Hit(image_id=anchor.image_id, hamming=abs(ord(one[0]) - ord(other[0])))


def fuse(hits: Sequence[Hit]) -> Candidates:
    """Order hits by their ids, and drop none."""
    return Candidates(tuple(sorted(hits, key=lambda hit: hit.image_id)))


RULES = Rules(
    policy_version="1",
    pipeline_version="1",
    worth=lambda hits, _: {hit.image_id for hit in hits},
    agrees=lambda hit: hit.hamming is not None and hit.hamming <= 1,
    similar_at=lambda _: None,
    judged=lambda found: without_common(found, POLICY),
    copies=1,
)
"""Rules with one copy per operation: every group of two is a large one."""


# --- jobs ---------------------------------------------------------------------------------------


def upload(image_id: str, picture: str, job_id: str | None = None, *, keep: bool = True) -> Job:
    """Make an upload job; the picture `!` cannot be decoded."""
    return Job(
        job_id=job_id or image_id,
        tenant=TENANT,
        image_id=image_id,
        kind="ingest",
        accepted_at=f"at {image_id}",
        sha256=picture,
        keep_bytes=keep,
    )


def operation(
    job_id: str,
    kind: JobKind,
    image_id: str,
    *,
    value: Value | None = None,
    if_match: int | None = None,
    hold_until: str | UnsetType | None = UNSET,
    erasure: Erasure = "erase",
) -> Job:
    """Make a job that changes a picture."""
    return Job(
        job_id=job_id,
        tenant=TENANT,
        image_id=image_id,
        kind=kind,
        accepted_at=f"at {job_id}",
        fields=job_id if kind == "edit" else None,
        value=value,
        if_match=if_match,
        chosen=SECOND if kind in ("add_space", "activate_space") else None,
        present=FIRST if kind == "add_space" else None,
        hold_until=hold_until,
        erasure=erasure,
    )


def _chosen(name: str) -> ChosenSpace:
    space = Space(f"visual-{name * 8}", "visual", name, 4, 0.9)
    return ChosenSpace(space, name)


FIRST, SECOND = _chosen("a"), _chosen("b")
"""The space that is active at first, and the second one that is added."""


BROKEN = Problem(type="broken", title="Cannot be read", status=422, detail="it is broken")


def claim(job: Job) -> Claim:
    """Make a claim of a job and its fingerprint."""
    if job.kind == "embed":
        return Claim(job=job, embedded=(Embedded(job.image_id, SECOND.space.space_id),))
    if job.kind == "refingerprint":
        again = Refingerprinted(
            image_id=job.image_id,
            before=None,
            pixels=fingerprint(decoded_again(job.sha256)).pixels_sha256,
            spaces=(),
        )
        return Claim(job=job, refingerprinted=(again,))
    if job.kind != "ingest":
        return Claim(job=job)
    if job.sha256 == "!":
        return Claim(job=job, problem=BROKEN)
    return Claim(job=job, query=Query(image_id=job.image_id, fingerprint=fingerprint(job.sha256)))


# --- the specification --------------------------------------------------------------------------


class World:
    """Settle view of the serial specification: plain dictionaries, everything in order."""

    def __init__(self, relation: Relation, jobs: Iterable[Job]) -> None:
        self._relation = relation
        self.jobs = {job.job_id: job for job in jobs}
        self.states: dict[str, State] = {}
        self.removed: dict[str, Tombstone] = {}
        self.standings: dict[SpaceKind, ActiveSpaces] = {}
        self.ended: dict[str, str] = {}
        """Kind of the operation that ended each job."""

    def state(self, image_id: str) -> State | None:
        return self.states.get(image_id)

    def gone(self, image_id: str) -> bool:
        state = self.states.get(image_id)
        return image_id in self.removed or (state is not None and state.bank is not None)

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """Return the upload: every one is known from the start."""
        job = self.jobs.get(image_id)
        return job and (Ended(image_id, job.accepted_at), image_id in self.ended)

    def same_bytes(self, sha256: str) -> list[State]:
        return [state for state in self.states.values() if state.sha256 == sha256]

    def same_pixels(self, pixels: str) -> list[State]:
        return [state for state in self.states.values() if state.pixels == pixels]

    def naming(self, image_id: str) -> list[State]:
        return [state for state in self.states.values() if state.names(image_id)]

    def near(self, query: Query) -> Candidates:
        """Return every open anchor."""
        return fuse(
            [
                hit
                for state in self.states.values()
                if state.image_id != query.image_id and state.anchor and not state.closed
                if (hit := measure(query, self.query(state.image_id))) is not None
            ]
        )

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Compare as the relation says."""
        one = picture_of(query.fingerprint)
        others = [picture_of(self.query(hit.image_id).fingerprint) for hit in hits]
        return [self._relation.compare(one, other) for other in others]

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """Return None: no picture has an owner."""
        del image_id, fields

    def query(self, image_id: str) -> Query:
        """Make the query from the record's digest."""
        return Query(image_id=image_id, fingerprint=of_state(self.states[image_id]))

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """Return the newest state of the spaces."""
        return self.standings.get(kind)

    def lacking(self, space_id: str) -> int:
        """Count vectors: a purged picture has no pixels to make one of."""
        return sum(
            space_id not in state.spaces and state.content != "purged"
            for state in self.states.values()
        )

    def fork(self) -> World:
        """Copy the world for a separate run."""
        other = World(self._relation, self.jobs.values())
        other.states = dict(self.states)
        other.standings = dict(self.standings)
        other.removed = dict(self.removed)
        other.ended = dict(self.ended)
        return other

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """Store states and tombstones in place."""
        self.states.update({state.image_id: state for state in states})
        for tombstone in removed:
            self.states.pop(tombstone.image_id, None)
            self.removed[tombstone.image_id] = tombstone

    def take(self, done: Operation, seq: int) -> None:
        self.put(done.states, [Tombstone(one, seq, done.finished_at) for one in done.removed])
        if done.standing is not None:
            self.standings[done.standing.kind] = done.standing
        if done.last:
            for job_id in (done.job, *(one.job_id for one in done.also)):
                assert job_id not in self.ended, f"{job_id} ended twice"
                self.ended[job_id] = done.kind
