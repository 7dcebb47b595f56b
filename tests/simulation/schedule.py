"""Parts of a run: scenario, choices, and the classes that make a worker."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.event_log.tail import LogFollower
from core.queries.snapshot import Snapshot
from core.records import Job, State
from tests.simulation import world
from tests.simulation.memory_index import MemoryIndex
from tests.simulation.replica import Replica
from tests.simulation.stored import Blobs, Log
from tests.simulation.world import RULES, Relation

FAULTS = ("409, nothing landed", "answer lost", "retried by the client", "lands later")


@dataclass(frozen=True)
class Scenario:
    """Jobs to settle, with the worker of each."""

    jobs: tuple[Job, ...]
    batches: tuple[tuple[tuple[str, ...], ...], ...]
    """Batches of each worker, by job_id."""
    relation: Relation = field(default_factory=Relation)
    replicas: int = 1
    reads: int = 0
    """Number of full reads meanwhile."""
    swaps: bool = False
    """Whether the index is rebuilt from the log meanwhile, and swapped in."""


@dataclass(frozen=True)
class Chances:
    """Probabilities of each event, at each point where it can happen."""

    switch: float = 0.3
    crash: float = 0.01
    fault: float = 0.15
    replicate: float = 0.3


class Choices:
    """Random choices drawn from a seed; some seeds rarely switch, or never crash."""

    def __init__(self, seed: int, chances: Chances | None = None) -> None:
        self._random = rng = random.Random(seed)
        self._chances = chances or Chances(
            switch=rng.choice((0.02, 0.1, 0.3, 0.6)),
            crash=rng.choice((0.0, 0.01, 0.03)),
            fault=rng.choice((0.0, 0.1, 0.5)),
            replicate=rng.choice((0.03, 0.1, 0.5)),
        )

    def runner(self, n: int) -> int:
        """Choose the next runner; 0 continues with the present one."""
        if self._random.random() >= self._chances.switch:
            return 0
        return self._random.randrange(n)

    def replica(self, n: int) -> int:
        """Choose the replica that answers."""
        return self._random.randrange(n)

    def crash(self) -> bool:
        """Choose whether the worker dies here."""
        return self._random.random() < self._chances.crash

    def fault(self) -> str:
        """Choose the outcome of an append."""
        if self._random.random() >= self._chances.fault:
            return ""
        return self._random.choice(FAULTS)

    def happens(self) -> bool:
        """Choose whether a background event happens here."""
        return self._random.random() < self._chances.replicate


@dataclass(frozen=True)
class Seen:
    """Records and jobs that a reader saw between two moments of the log."""

    since: int
    until: int
    states: dict[str, State]
    missed: set[str]
    """Jobs that had been reported as ended before the read, and that it found unended."""


@dataclass
class Parts:
    """Classes that make a worker; a test replaces one by a broken one."""

    ledger: type[Ledger] = Ledger
    projector: type[Projector] = Projector
    follower: type[LogFollower] = LogFollower
    blobs: type[Blobs] = Blobs
    log: type[Log] = Log
    index: type[MemoryIndex] = MemoryIndex
    replica: type[Replica] = Replica
    rules: world.Rules = RULES
    overlay: type[Snapshot] = Snapshot
    top: int = 0
    """Candidates that the index gives, the one of the lowest place first; 0 for all there are."""
    sweeps: bool = True
    clears: bool = True
    """Whether leftovers of deleted and purged pictures are removed at the end."""
    catches_up: bool = True
    """Whether a new index is swapped in with the whole log of that moment."""
    rash: bool = False
    """Whether a new index advances to the head of the log, done marks or not."""
    exactly: bool = True
    """Whether every outcome and object is compared with the specification, not only the promises:
    that one is new, that no deleted picture returns, that no record points to a missing one, that
    no job ends twice or never."""
