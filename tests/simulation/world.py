"""A small world to settle pictures in: what they are, what is asked for, and what comes of it.

A picture is a letter and a number: `a1` and `a2` have the same letter, hence the same pixels; the
same letter and number are the same bytes. A `~` behind them is an animation whose first frame has
those pixels. Which letters confirm each other is a relation given to
the world: symmetric, and not transitive unless one makes it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from core.event_log.decide import Claim
from core.matching.verdict import Rules
from core.records import Embedded, Ended, Job, JobKind, Operation, Problem, State, Tombstone
from core.types import (
    ActiveSpaces,
    Box,
    Candidates,
    ChosenSpace,
    Comparison,
    Evidence,
    Features,
    Fingerprint,
    Hit,
    Query,
    Space,
    SpaceKind,
    Value,
)

TENANT = "t"
AT = "2026-01-01T00:00:00.000Z"
EARLIER, LATER = "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.001Z"


def fingerprint(picture: str) -> Fingerprint:
    """Of a picture by its name: `_` as its letter has nothing to hold on to."""
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
    """The name of a picture."""
    return found.phash


def of_state(state: State) -> Fingerprint:
    """A record's fingerprint, by its digest."""
    return fingerprint(state.sha256.removeprefix("bytes "))


@dataclass(frozen=True)
class Relation:
    """Which letters confirm each other, and of those which differ in a region."""

    confirming: frozenset[frozenset[str]] = frozenset()
    changed: frozenset[frozenset[str]] = frozenset()

    def confirms(self, one: str, other: str) -> bool:
        """Whether one laid over the other agrees."""
        return one[0] == other[0] or frozenset((one[0], other[0])) in self.confirming

    def compare(self, one: str, other: str) -> Comparison:
        """One picture laid over another."""
        regions = (Box(0, 0, 1, 1),) if frozenset((one[0], other[0])) in self.changed else ()
        evidence = Evidence(
            signals=("alignment",),
            changed_regions=regions,
            uncompared=("frames",) if "~" in one + other else (),
        )
        return Comparison(self.confirms(one, other), evidence)


def measure(query: Query, anchor: Query) -> Hit | None:
    """Every picture is near every other, by the distance of their letters."""
    one, other = picture_of(query.fingerprint), picture_of(anchor.fingerprint)
    return Hit(image_id=anchor.image_id, hamming=abs(ord(one[0]) - ord(other[0])))


def fuse(hits: Sequence[Hit]) -> Candidates:
    """In the order of their ids, none left out."""
    return Candidates(tuple(sorted(hits, key=lambda hit: hit.image_id)))


RULES = Rules(
    policy_version="1",
    pipeline_version="1",
    worth=lambda hits, _: {hit.image_id for hit in hits},
    agrees=lambda hit: hit.hamming is not None and hit.hamming <= 1,
    similar_at=lambda _: None,
    copies=1,
)
"""One copy an operation: every star of two is a large one."""


# --- jobs ---------------------------------------------------------------------------------------


def upload(image_id: str, picture: str, job_id: str | None = None, *, keep: bool = True) -> Job:
    """One that uploads a picture; `!` is one that cannot be decoded."""
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
) -> Job:
    """One that does something to a picture."""
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
    )


def _chosen(name: str) -> ChosenSpace:
    space = Space(f"visual-{name * 8}", "visual", name, 4, 0.9)
    return ChosenSpace(space, name)


FIRST, SECOND = _chosen("a"), _chosen("b")
"""The space that is asked at first, and the one that is brought in beside it."""


BROKEN = Problem(type="broken", title="Cannot be read", status=422, detail="it is broken")


def claim(job: Job) -> Claim:
    """A job and what decoding found."""
    if job.kind == "embed":
        return Claim(job=job, embedded=(Embedded(job.image_id, SECOND.space.space_id),))
    if job.kind != "ingest":
        return Claim(job=job)
    if job.sha256 == "!":
        return Claim(job=job, problem=BROKEN)
    return Claim(job=job, fingerprint=fingerprint(job.sha256))


# --- the specification --------------------------------------------------------------------------


class World:
    """The serial specification's view: plain dictionaries, everything in order."""

    def __init__(self, relation: Relation, jobs: Iterable[Job]) -> None:
        self._relation = relation
        self.jobs = {job.job_id: job for job in jobs}
        self.states: dict[str, State] = {}
        self.removed: dict[str, Tombstone] = {}
        self.standings: dict[SpaceKind, ActiveSpaces] = {}
        self.ended: dict[str, str] = {}
        """Job to the kind of operation that ended it."""

    def state(self, image_id: str) -> State | None:
        """Of a live record."""
        return self.states.get(image_id)

    def gone(self, image_id: str) -> bool:
        """Whether it was deleted."""
        return image_id in self.removed

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """Every upload is known from the start."""
        job = self.jobs.get(image_id)
        return job and (Ended(image_id, job.accepted_at), image_id in self.ended)

    def same_bytes(self, sha256: str) -> list[State]:
        """Live records."""
        return [state for state in self.states.values() if state.sha256 == sha256]

    def same_pixels(self, pixels: str) -> list[State]:
        """Live records."""
        return [state for state in self.states.values() if state.pixels == pixels]

    def copies(self, image_id: str) -> list[State]:
        """Live records."""
        return [s for s in self.states.values() if s.original == image_id != s.image_id]

    def near(self, query: Query) -> Candidates:
        """Every open anchor."""
        return fuse(
            [
                hit
                for state in self.states.values()
                if state.image_id != query.image_id and state.anchor and not state.closed
                if of_state(state).comparable
                if (hit := measure(query, self.query(state.image_id))) is not None
            ]
        )

    def compare(self, query: Query, hit: Hit) -> Comparison:
        """As the relation says."""
        other = self.query(hit.image_id)
        return self._relation.compare(picture_of(query.fingerprint), picture_of(other.fingerprint))

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """Nobody's."""
        del image_id, fields

    def query(self, image_id: str) -> Query:
        """By the record's digest."""
        return Query(image_id=image_id, fingerprint=of_state(self.states[image_id]))

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """The newest."""
        return self.standings.get(kind)

    def lacking(self, space_id: str) -> int:
        """A purged picture has no pixels to make a vector of."""
        return sum(
            space_id not in state.spaces and state.content != "purged"
            for state in self.states.values()
        )

    def fork(self) -> World:
        """One of its own."""
        other = World(self._relation, self.jobs.values())
        other.states = dict(self.states)
        other.standings = dict(self.standings)
        other.removed = dict(self.removed)
        other.ended = dict(self.ended)
        return other

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """In place."""
        self.states.update({state.image_id: state for state in states})
        for tombstone in removed:
            self.states.pop(tombstone.image_id, None)
            self.removed[tombstone.image_id] = tombstone

    def take(self, done: Operation, seq: int) -> None:
        """What an operation left."""
        self.put(done.states, [Tombstone(one, seq, done.finished_at) for one in done.removed])
        if done.standing is not None:
            self.standings[done.standing.kind] = done.standing
        if done.last:
            for job_id in (done.job, *(one.job_id for one in done.also)):
                assert job_id not in self.ended, f"{job_id} ended twice"
                self.ended[job_id] = done.kind
