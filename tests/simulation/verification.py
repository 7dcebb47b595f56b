"""The promises that hold after any run, and the serial run that it must equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from core import keys
from core.event_log.decide import decide
from core.event_log.operations import TenantNow
from core.evidence import Evidence
from core.records import Entry, Operation, State
from core.types import COPY_KINDS, Value
from tests.simulation import world
from tests.simulation.schedule import Parts, Scenario, Seen
from tests.simulation.stored import Blobs, Store
from tests.simulation.world import AT, TENANT, World, claim

MANY = 3
"""Anchors of one layout from which that layout proves nothing."""


class Verification:
    """Verification of a run that has ended: what it stored, answered and showed."""

    def __init__(
        self,
        scenario: Scenario,
        parts: Parts,
        store: Store,
        told: Mapping[str, Operation],
        seen: Sequence[Seen],
    ) -> None:
        self.scenario = scenario
        self.parts = parts
        self.store = store
        self.told = told
        self.seen = seen

    def verify(self) -> None:
        """Compare with the serial run in the order of the log; AssertionError where it differs."""
        spec, history = self.replay()
        self._check_reads(history)
        jobs = {job.job_id for job in self.scenario.jobs}
        assert set(spec.ended) == jobs, "every job has ended, once"
        assert self.store.pending() == [], "nothing is pending"
        for replica in self.store.replicas:
            assert replica.watermark == self.store.head, "the index is up to the log"
            held = {image_id: state for image_id, (_, state) in replica.states.items()}
            assert held == spec.states, "the index holds what the log left"
            assert replica.tombstones == spec.removed, "and remembers what was deleted"
            assert set(replica.outcomes) == jobs, "and every outcome"
        if self.parts.exactly:
            self._check_objects(spec, jobs)
        objects = self.store.objects
        for image_id in spec.removed:
            assert keys.kept(TENANT, image_id) not in objects, "nothing is left of it"
        for image_id, state in spec.states.items():
            if state.bank is not None:
                assert keys.kept(TENANT, image_id) in objects, "a bank keeps the fingerprint"
        purged = [one for one, state in spec.states.items() if state.content == "purged"]
        for image_id in (*spec.removed, *purged):
            derived = keys.derived(TENANT, image_id, "fingerprint")
            left = [derived, *Blobs(self.store).made_again(image_id)]
            assert not objects.keys() & set(left), "nothing is left of it"
        ending = {
            job_id: done
            for entry in self.entries()
            for done in entry.operations
            if done.last
            for job_id in (done.job, *(one.job_id for one in done.also))
        }
        assert {job_id: ending[job_id] for job_id in self.told} == self.told, "told what was logged"

    def _check_objects(self, spec: World, jobs: set[str]) -> None:
        objects = self.store.objects
        marks = {key.rpartition("/")[2] for key in objects if key.startswith("done/")}
        assert marks == jobs, "every job has its mark"
        stones = {key.rpartition("/")[2] for key in objects if key.startswith("tombstones/")}
        assert stones == set(spec.removed), "every deleted picture has its tombstone"

    def entries(self) -> Iterable[Entry]:
        """Return the log, from its first entry to its last, in one chain."""
        nonce = ""
        for seq in range(1, self.store.head + 1):
            assert seq in self.store.log, "no number is skipped"
            entry = self.store.log[seq]
            assert (entry.seq, entry.previous) == (seq, nonce), "the chain holds"
            nonce = entry.nonce
            yield entry

    def replay(self) -> tuple[World, list[dict[str, State]]]:
        """Decide all again, one job at a time, and compare; return the states after each entry."""
        spec = World(self.scenario.relation, self.scenario.jobs)
        history: list[dict[str, State]] = [{}]
        for entry in self.entries():
            n = 0
            for done in entry.operations:
                wanted = decide(
                    spec, claim(spec.jobs[done.job]), TenantNow(entry.seq, n, AT), self.parts.rules
                )
                if self.parts.exactly:
                    assert self._told(done) == self._told(wanted), "the outcome is the serial one"
                before = spec.fork()
                spec.take(done, entry.seq)
                self._check(spec, before, done)
                n += len(done.states)
            history.append(dict(spec.states))
        return spec, history

    def _told(self, done: Operation) -> Operation:
        """Reduce an operation to the part that must equal the serial one.

        If the index gives only its best candidates, others may be missing from `matches`.
        """
        if not self.parts.top:
            return done
        states = (
            replace(state, verdict=replace(state.verdict, matches=())) for state in done.states
        )
        return replace(done, states=tuple(states))

    def _check_reads(self, history: list[dict[str, State]]) -> None:
        """Check that each picture was read as it was at some moment between call and return."""
        for seen in self.seen:
            assert not seen.missed, "what was told is seen by whoever asks afterwards"
            for job in self.scenario.jobs:
                moments = [
                    _shown(states.get(job.image_id))
                    for states in history[seen.since : seen.until + 1]
                ]
                now = _shown(held := seen.states.get(job.image_id))
                assert held is None or held.bank is None, "a bank's entry is deleted to readers"
                assert now in moments, "reads are of the present"

    def _check(self, spec: World, before: World, done: Operation) -> None:
        """Check the promises after every operation, without the code under test."""
        for state in spec.states.values():
            image_id = state.image_id
            assert image_id not in spec.removed, "nothing deleted comes back"
            original = spec.states.get(state.original)
            assert original is not None, "nothing points at what is gone"
            if original is not state:
                assert original.anchor is not None, "a copy's original is an anchor"
            old = before.states.get(image_id)
            self._check_decision(spec, done, state)
            if old is not None and old.decision.by == "person":
                own = done.job_kind == "decide" and done.image_id == image_id
                assert own or state.decision == old.decision, "a person's word stays"
            if old is not None and _held(old):
                assert state.content == old.content, "what is held is not purged"
            if old is None or old.verdict != state.verdict:
                first = 1 if old is None else old.verdict.revision + 1
                assert state.verdict.revision == first, "a changed verdict has a new revision"
        gone = before.states.keys() & set(done.removed)
        assert not any(_held(before.states[one]) for one in gone), "what is held is not deleted"
        asked = before.standing("visual")
        if done.standing is not None and asked is not None and done.standing.active != asked.active:
            lacking = [s.image_id for s in before.states.values() if not _filled(s)]
            assert not lacking, "a space is asked once no picture lacks a vector in it"
        self._check_blocks(spec, before, done)
        self._check_done(spec, before, done)

    def _check_blocks(self, spec: World, before: World, done: Operation) -> None:
        """Check that only a caller who may do so removes a block, and that it catches copies."""
        for image_id, old in before.states.items():
            new = spec.states.get(image_id)
            if old.bank is not None and not old.closed and new is None:
                assert spec.jobs[done.job].erasure == "forget", "what a bank has stays"
            if old.decision == replace(old.decision, by="person", value="block") and new is None:
                erasure = spec.jobs[done.job].erasure
                assert erasure != "hide" or old.closed, "a block survives a writer's delete"
        for state in done.states if done.kind == "settled" else ():
            same = [one for one in before.states.values() if one.sha256 == state.sha256]
            if same and all(one.bank is not None and not one.closed for one in same):
                assert state.decision.value == "block", "the same file is blocked again"

    def _check_done(self, spec: World, before: World, done: Operation) -> None:
        """Check the states that an operation left."""
        for state in done.states:
            self._check_settled(spec, before, done, state)
        if done.kind == "decided":
            others = {s.verdict.kind for s in done.states if s.image_id != done.image_id}
            assert others <= {*COPY_KINDS}, "a decision reaches copies alone"

    def _check_settled(self, spec: World, before: World, done: Operation, state: State) -> None:
        old = before.states.get(state.image_id)
        if done.kind in ("deleted", "resettled") and old and old.original != done.image_id:
            assert state.original == old.original, "only another match of it went"
        elif done.kind in ("settled", "deleted", "resettled"):
            self._check_original(spec, state)
            self._check_variants(spec, state)
        if done.kind == "settled":
            self._check_bytes(before, state)

    def _check_decision(self, spec: World, done: Operation, state: State) -> None:
        """Check that the strictest confirmed match decides on a copy, once all has spread."""
        named = [match for match in (*state.verdict.matches, *state.unlisted) if match.confirmed]
        assert spec.states.keys() >= {one.image_id for one in named}, "nothing points at it"
        if not named or state.decision.by == "person":
            return
        parts = [(spec.states[one.image_id], one.evidence) for one in named]
        due = max((_due(part.decision.value, proof) for part, proof in parts), key=_strictness)
        if (
            done.kind == "decided"
            and done.last
            and any(p.image_id == done.image_id for p, _ in parts)
        ):
            assert state.decision.value == due, "it is decided again over all of them"
        if any(part.spreading for part, _ in parts) or state.sha256[6] in self._decided:
            return
        assert _strictness(state.decision.value) >= _strictness(due), "the strictest decides"

    @property
    def _decided(self) -> set[str]:
        """Letters of pictures that a person decides on: their twins have that decision."""
        jobs = self.scenario.jobs
        decided = {job.image_id for job in jobs if job.kind == "decide"}
        return {job.sha256[0] for job in jobs if job.kind == "ingest" and job.image_id in decided}

    @staticmethod
    def _check_bytes(before: World, state: State) -> None:
        """Check that only equal bytes lose theirs, and only whole pictures inherit a block."""
        same = [other for other in before.states.values() if other.sha256 == state.sha256]
        if state.content == "discarded":
            assert any(other.content == "stored" for other in same), "bytes that nobody else has"
        if state.decision.value == "block" and "~" in state.sha256:
            assert any(other.decision.value == "block" for other in same), "unseen frames blocked"

    def _check_variants(self, spec: World, state: State) -> None:
        """Check that a variant is an original that names open anchors, and no copies."""
        verdict = state.verdict
        mine = world.picture_of(world.of_state(state))
        for match in verdict.matches:
            if match.kind == "variant":
                other = spec.states[match.image_id]
                assert not match.confirmed, "a variant is no copy"
                assert other.anchor is not None, "a variant is one of an anchor"
                assert not self._repeats(spec, mine, state, other), "nor a copy"
        if verdict.kind == "variant":
            assert verdict.variants, "a variant names the other"
            assert state.original == state.image_id, "it is an original"
            assert verdict.original is None, "it is an original"
            assert state.anchor is not None, "later pictures are compared with it"
            blocked = any(spec.states[one].decision.value == "block" for one in verdict.variants)
            waved = state.decision.value == "allow" and state.decision.by == "policy"
            assert not (blocked and waved), "the policy sends a blocked one's variant to review"

    def _check_original(self, spec: World, state: State) -> None:
        """Check that the original is the live open anchor of the lowest place that confirms it."""
        mine = world.picture_of(world.of_state(state))
        places = [
            (other.anchor, other.image_id)
            for other in spec.states.values()
            if other.anchor is not None and not other.closed and other.image_id != state.image_id
            if state.anchor is None or other.anchor < state.anchor
            if self._repeats(spec, mine, state, other)
        ]
        if not places:
            assert state.original == state.image_id or self._by_twin(spec, state), "an original"
        elif state.verdict.kind not in COPY_KINDS:
            raise AssertionError("of pictures that confirm each other one is new")
        elif not self._by_twin(spec, state):
            assert state.original == min(places)[1], "its original came first"

    def _repeats(self, spec: World, mine: str, state: State, other: State) -> bool:
        relation = self.scenario.relation
        theirs = world.picture_of(world.of_state(other))
        if state.sha256 == other.sha256:
            return True
        if "_" in mine + theirs:
            return False
        if mine[0] == theirs[0] and "~" not in mine + theirs:
            return True
        if "purged" in (state.content, other.content):
            return False
        if relation.rests_on_layout(mine, theirs):
            return self._instances(spec, state) < MANY
        return relation.confirms(mine, theirs)

    def _instances(self, spec: World, state: State) -> int:
        """Count the open anchors whose pixels show the layout, without the picture itself."""
        return sum(
            other.anchor is not None
            and not other.closed
            and other.content != "purged"
            and world.picture_of(world.of_state(other))[0] in self.scenario.relation.template
            for other in spec.states.values()
            if other.image_id != state.image_id
        )

    @staticmethod
    def _by_twin(spec: World, state: State) -> bool:
        """Return whether it has its original through a copy with the same bytes or pixels."""
        return any(
            (other.pixels == state.pixels or other.sha256 == state.sha256)
            and other.image_id != state.image_id
            and other.original == state.original
            for other in spec.states.values()
        )


def _shown(state: State | None) -> State | None:
    """Reduce a record to its public part, without the progress of a large group."""
    if state is not None and state.bank is not None:
        return None
    return state and replace(state, closed=False, spreading=())


def _due(value: Value, proof: Evidence) -> Value:
    """Return the decision that follows from one confirmed match."""
    if proof.uncompared and value != "allow":
        return "review"
    return "review" if proof.changed_regions and value == "allow" else value


def _strictness(value: Value) -> int:
    return ("allow", "review", "block").index(value)


def _held(state: State) -> bool:
    return state.hold_until is not None and state.hold_until > AT and not state.closed


def _filled(state: State) -> bool:
    return state.content == "purged" or world.SECOND.space.space_id in state.spaces
