"""Jobs settled one after another among the live records, and the result of each."""

from __future__ import annotations

from msgspec.structs import replace

from core.event_log.decide import decide
from core.event_log.operations import TenantNow
from core.matching.verdict import Rules
from core.records import Job, Operation, State
from tests.simulation.world import AT, RULES, Relation, World, claim, operation, upload

ALL = Relation(frozenset(map(frozenset, ("ab", "ac", "bc"))))
"""Relation in which a, b and c confirm each other."""
CHAIN = Relation(frozenset(map(frozenset, ("ab", "bc"))))
"""Relation in which a and b, and b and c confirm each other, but not a and c."""
CAPTION = Relation(frozenset({frozenset("ab")}), frozenset({frozenset("ab")}))
"""Relation in which b is a with words over it."""
VARIANT = Relation(variants=frozenset({frozenset("ab")}))
"""Relation in which a and b have one layout and other content."""


class Case:
    """Serial run that settles jobs one by one and remembers the results."""

    def __init__(self, relation: Relation | None = None, rules: Rules = RULES) -> None:
        self.world = World(relation or Relation(), [])
        self.rules = rules
        self.seq = 0

    def settle(self, job: Job, **more: object) -> Operation:
        """Settle one job in one entry."""
        self.seq += 1
        self.world.jobs[job.job_id] = job
        done = decide(
            self.world, replace(claim(job), **more), TenantNow(self.seq, 0, AT), self.rules
        )
        self.world.take(done, self.seq)
        return done

    def uploads(self, **pictures: str) -> None:
        """Upload pictures, each under its id, in order."""
        for image_id, picture in pictures.items():
            self.settle(upload(image_id, picture))

    def told(self) -> dict[str, tuple[str, str | None, str]]:
        """Return kind, original and decision of every record."""
        return {
            one.image_id: (one.verdict.kind, one.verdict.original, one.decision.value)
            for one in self.world.states.values()
        }

    def decided(self, image_id: str, value: str, job_id: str = "d") -> Operation:
        """Settle the decision of a person."""
        return self.settle(operation(job_id, "decide", image_id, value=value))


def state(case: Case, image_id: str) -> State:
    """Return the state of a live record."""
    return case.world.states[image_id]
