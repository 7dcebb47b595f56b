"""The sweeper: it spares jobs in hand, and sends failed ones again after a growing pause."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from adapters.blobs.opening import open_blobs
from adapters.prometheus import PrometheusMeter
from core import keys
from core.ingest.sweeper import InFlightJobs, Sweeper

JOB = ("default", "a")


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Listed:
    """A queue that remembers what it was given."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str]] = []

    def enqueue(self, jobs: Sequence[tuple[str, str]]) -> None:
        self.jobs += jobs

    def mend(self) -> None:
        pass

    def depth(self, tenant: str | None = None) -> int:  # noqa: ARG002 - the port's
        return len(self.jobs)


def test_a_job_in_hand_is_not_taken_again() -> None:
    """Taking twice gives it once."""
    hand = InFlightJobs()
    assert (hand.take([JOB, JOB]), hand.take([JOB]), len(hand)) == ([JOB], [], 1)


def test_a_job_that_ended_may_come_again() -> None:
    """A redelivered job is taken like a new one."""
    hand = InFlightJobs()
    hand.take([JOB])
    hand.ended([JOB])
    assert hand.take([JOB]) == [JOB]


def test_a_failed_job_waits_longer_each_time() -> None:
    """After n failures it goes at the earliest half of 0.5 x 2^(n-1) seconds later."""
    clock = Clock()
    hand = InFlightJobs(clock)
    for attempt in range(1, 12):
        assert hand.take([JOB]) == [JOB]
        hand.failed([JOB])
        pause = min(60.0, 0.5 * 2 ** (attempt - 1))
        clock.now += 0.49 * pause
        assert hand.take([JOB]) == []
        clock.now += 0.52 * pause


def test_a_sweep_enqueues_every_tenants_pending_jobs() -> None:
    """All that lies in pending/ comes, each with its tenant."""
    blobs = open_blobs("memory://")
    wanted = [("a", "1"), ("a", "2"), ("b", "1")]
    blobs.create_many([(keys.pending(tenant, job), b"{}") for tenant, job in wanted])
    queue = Listed()
    Sweeper(blobs, queue).sweep()
    assert sorted(queue.jobs) == wanted


class Shared(InFlightJobs):
    """The queue's state of a broker: a job counts as missing only once it was missed twice."""

    looks = 2


def test_what_was_missed_once_is_looked_at_again() -> None:
    """It is, even if more tenants wait than one sweep covers."""
    blobs = open_blobs("memory://")
    blobs.create_many([(keys.pending(f"t{n % 20}", f"{n:03}"), b"{}") for n in range(400)])
    queue = Listed()
    sweeper = Sweeper(blobs, queue, held=Shared(), backlog=10)
    assert [sweeper.sweep(), sweeper.sweep()] == [0, 10]


@pytest.mark.parametrize("seed", range(5))
def test_a_tenants_backlog_keeps_no_other_waiting(seed: int) -> None:
    """However large the backlog and whichever came first: the other's few go with the first."""
    random.seed(seed)
    blobs = open_blobs("memory://")
    blobs.create_many([(keys.pending("much", f"{n:04}"), b"{}") for n in range(2000)])
    queue = Listed()
    sweeper = Sweeper(blobs, queue, held=Shared(), backlog=400)

    def settle(count: int) -> None:
        done, queue.jobs = queue.jobs[:count], queue.jobs[count:]
        blobs.delete([keys.pending(*job) for job in done])

    for _ in range(4):
        sweeper.sweep()
        settle(100)
    blobs.create_many([(keys.pending("few", f"{n}"), b"{}") for n in range(3)])
    sweeper.sweep()
    settle(100)
    sweeper.sweep()
    assert [job for job in queue.jobs if job[0] == "few"] == [("few", f"{n}") for n in range(3)]


def test_one_that_stands_by_forgets_what_it_missed() -> None:
    """When it leads again a job must be missed twice again; until then none is pending to it."""
    blobs = open_blobs("memory://")
    blobs.create_many([(keys.pending("t", job), b"{}") for job in ("a", "b")])
    meter = PrometheusMeter()

    def pending() -> float | None:
        return meter.registry.get_sample_value("seenit_pending")

    sweeper = Sweeper(blobs, Listed(), held=Shared(), meter=meter)
    assert (sweeper.sweep(), pending()) == (0, 2)
    sweeper.stand_by()
    assert pending() == 0
    assert [sweeper.sweep(), sweeper.sweep()] == [0, 2]
