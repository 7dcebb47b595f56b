"""Attacks on the queue: poison, random kills, a broker that forgets, and a worker that is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import keys
from tests.backends import servers
from tests.backends.server_process import wait
from tests.doubles.line_worker import Pit, pit

pytestmark = [pytest.mark.hard, pytest.mark.timeout(600)]

Server = servers.Redis | servers.Given


def kept_up(made: Pit, seconds: float, ends: Callable[[], bool]) -> int:
    """Run a worker, and another whenever it dies, until it `ends`; how many died."""
    deaths = 0
    worker = made.process(seconds)
    deadline = time.monotonic() + 300
    while not ends():
        assert time.monotonic() < deadline, f"{len(made.pending())} are pending, {deaths} died"
        if worker.poll() is not None:
            assert worker.returncode == -9
            deaths += 1
            worker = made.process(seconds)
        time.sleep(0.01)
    worker.terminate()
    assert worker.wait(20) == 0
    return deaths


def test_what_kills_its_worker_is_set_aside_and_costs_its_neighbours_time_alone(
    tmp_path: Path, redis_server: Server
) -> None:
    """Two kill every worker: both are settled as failed, the others as if they had not been."""
    jobs = [("a", f"{n}") for n in range(40)]
    poison = [("a", "poison-1"), ("b", "poison-2")]
    with pit(tmp_path, redis_server.url) as made:
        made.accept([*jobs[:20], *poison, *jobs[20:]])
        made.sweeper.start()
        deaths = kept_up(made, 0.005, lambda: not made.pending())
        told = made.told()
        redis = made.broker.redis
        assert redis is not None
        assert [redis.hlen(f"seenit:{name}") for name in ("together", "alone")] == [0, 0]
    assert {job_id: times for (how, job_id), times in told.items() if how == "failed"} == {
        "poison-1": 1,
        "poison-2": 1,
    }
    assert all(told["settled", job_id] == 1 for _, job_id in jobs)
    assert len(told) == 42
    assert deaths <= 10  # two batches and three lone tries of each


def test_no_number_of_random_kills_sets_an_innocent_aside(
    tmp_path: Path, redis_server: Server
) -> None:
    """A dozen workers killed 0.1 to 1 s after they took something, as a bad night does it."""
    jobs = [(("a", "b")[n % 2], f"{n}") for n in range(200)]
    chance = random.Random(5)
    with pit(tmp_path, redis_server.url) as made:
        made.accept(jobs)
        made.sweeper.start()
        redis = made.broker.redis
        assert redis is not None
        for _ in range(12):
            worker = made.process(0.1)
            wait(lambda: redis.zcard("seenit:leases") > 0, 60.0, lambda: "it takes nothing")
            time.sleep(chance.uniform(0.1, 1.0))  # the attack itself
            worker.kill()
            worker.wait()
            redis.delete("seenit:leases")  # not to wait for them: that is another test's
        assert made.pending(), "the kills came too late to mean anything"
        kept_up(made, 0.0, lambda: not made.pending())
        told = made.told()
    assert {how for how, _ in told} <= {"settled", "again"}
    assert all(told["settled", job_id] == 1 for _, job_id in jobs)


def test_a_broker_that_forgets_everything_again_and_again_loses_nothing(
    tmp_path: Path, redis_server: Server
) -> None:
    """Emptied ten times under two workers, while uploads go on."""
    with pit(tmp_path, redis_server.url) as made:
        redis = made.broker.redis
        assert redis is not None
        workers = [made.thread(0.005) for _ in range(2)]
        made.sweeper.start()
        for turn in range(10):
            made.accept([("a", f"{turn}-{n}") for n in range(40)])
            time.sleep(0.1)  # the attack comes at whatever moment this is
            redis.flushdb()
        wait(lambda: not made.pending(), 120.0, lambda: f"{len(made.pending())} are pending")
        for worker in workers:
            worker.close()
        told = made.told()
    assert {job_id for how, job_id in told if how == "settled"} == {
        f"{turn}-{n}" for turn in range(10) for n in range(40)
    }
    assert all(times == 1 for (how, _), times in told.items() if how == "settled")


def test_ten_thousand_pending_never_fill_the_broker_over_its_mark(
    tmp_path: Path, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is away for ten sweeps, uploads come in meanwhile, and then all are settled."""
    backlog, batch = 10_000, 64
    with pit(tmp_path, redis_server.url, backlog=backlog, batch=batch) as made:
        redis = made.broker.redis
        assert redis is not None
        made.blobs.create_many(
            [(keys.pending("a", f"old-{n:05}"), b"{}") for n in range(backlog + 2_000)]
        )
        held = []
        for sweep in range(10):
            made.sweeper.sweep()
            if made.broker.queue.depth() < backlog:
                made.accept([("b", f"{sweep}-{n}") for n in range(batch)])
            held.append(made.broker.queue.depth())
        assert max(held) <= backlog + batch
        assert redis.llen("ingest") == 1  # the turn of their tenant
        with monkeypatch.context() as patch:  # a full queue is not listed, nor the store
            for part, name in ((made.broker.held, "queued"), (made.blobs, "folders")):
                patch.setattr(part, name, lambda *_: pytest.fail("it is listed"))
            assert made.sweeper.sweep() == 0
        worker = made.thread(0.0, 2)
        made.empty(300.0)
        worker.close()
        told = made.told()
    assert set(told.values()) == {1}
    assert len(told) >= backlog + 2_000
