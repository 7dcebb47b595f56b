"""The queue on a real Redis: what it costs, what it knows, and what it does when it is cut."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis import Redis

from adapters.broker import connections, redis_keys
from adapters.broker.redis_leases import DeliveryCount, RedisLeases
from adapters.broker.redis_settle_hint import RedisSettleHint
from adapters.broker.redis_sweep_state import RedisQueueState
from adapters.broker.waiting_jobs import RedisWaitingJobs
from core.errors import QueueUnavailableError
from core.ingest.sweeper import Handle
from core.records import JobStatus
from core.task_names import INGEST_QUEUE
from tests.backends import servers
from tests.backends.faults import toxiproxy
from tests.backends.server_process import wait
from tests.doubles.line_worker import Pit, pit, turn_worker
from worker.turn_task import TurnTask

AT_MOST = 0.2
"""Seconds that an upload may wait for a broker that is not there."""

Server = servers.Redis | servers.Given


def redis_of(made: Pit) -> Redis:
    """Return the connection for commands that block."""
    assert made.broker.redis is not None
    return made.broker.redis


def test_a_hundred_jobs_are_one_command(dug: Pit) -> None:
    """An upload of a hundred files must not wait for a hundred answers."""
    redis = redis_of(dug)
    jobs = [("a", str(n)) for n in range(100)]
    dug.broker.queue.enqueue(jobs[:1])  # with the turn, and Celery's connection

    def calls() -> int:
        stats = redis.info("commandstats")
        return sum(stats[f"cmdstat_{name}"]["calls"] for name in ("evalsha", "lpush"))

    before = calls()
    dug.broker.queue.enqueue(jobs)
    assert calls() == before + 1
    assert dug.broker.queue.depth() == 100
    assert set(dug.broker.held.queued()) == {("a", str(n)) for n in range(100)}


@pytest.mark.parametrize("fault", ["half_open", "cut", "slow"])
def test_a_broker_that_is_away_costs_an_upload_little(
    tmp_path: Path, redis_server: Server, fault: str
) -> None:
    """Depth and sending together take under 200 ms, connected before or not, then no time."""
    port = int(redis_server.url.rpartition(":")[2].partition("/")[0])
    with toxiproxy(tmp_path / "proxy") as proxy:
        link = proxy.link("127.0.0.1", port)
        url = redis_server.url.replace(str(port), str(link.port))
        took = (AT_MOST, AT_MOST)
        for _ in range(
            5
        ):  # a machine that is busy adds to what is measured, and takes nothing away
            with pit(tmp_path, url, door_seconds=connections.DOOR_SECONDS) as made:
                wait(lambda made=made: _sent(made), 30.0, lambda: "no connection")  # type: ignore[misc]
                getattr(link, fault)(*((2_000,) if fault == "slow" else ()))
                took = _away(made)
                link.mend()
                wait(lambda made=made: _sent(made), 30.0, lambda: "the breaker stays open")  # type: ignore[misc]
            if max(took) < AT_MOST:
                break
        assert max(took) < AT_MOST, took


def _away(made: Pit) -> tuple[float, float]:
    """Seconds of an upload that finds a broker away, and of fifty more."""
    queue = made.broker.queue
    began = time.monotonic()
    with pytest.raises(QueueUnavailableError):
        queue.depth()
    with pytest.raises(QueueUnavailableError):
        queue.enqueue([("a", "2")])
    assert made.broker.progress.status("a", "2") is None
    first = time.monotonic() - began
    for _ in range(50):
        with pytest.raises(QueueUnavailableError):
            queue.enqueue([("a", "3")])
    return first, time.monotonic() - began - first


def _sent(made: Pit) -> bool:
    try:
        made.broker.queue.enqueue([("a", "4")])
    except QueueUnavailableError:
        return False
    return True


def pass_by(made: Pit, seconds: float) -> None:
    """Shorten every lease by so much time."""
    redis = redis_of(made)
    for word in redis.zrange(redis_keys.LEASES, 0, -1):
        redis.zincrby(redis_keys.LEASES, -seconds, word)


def test_a_lease_is_one_workers_until_it_ends_or_runs_out(dug: Pit) -> None:
    """Others are refused what a living worker has; what it ended or gave back is free."""
    redis = redis_of(dug)
    mine, other = RedisLeases(redis, 60.0), RedisLeases(redis, 60.0)
    jobs = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    assert mine.take(jobs) == dict.fromkeys(jobs, DeliveryCount(0, 0))
    assert (mine.take(jobs), other.take(jobs)) == ({}, {})
    mine.ended(jobs[:1])
    mine.give_back(jobs[1:2])
    assert list(other.take(jobs)) == jobs[:2]
    assert dug.broker.held.idle([*jobs, ("c", "1")]) == [("c", "1")]
    pass_by(dug, 59.8)
    mine.renew()
    wait(lambda: dug.broker.held.idle(jobs) == jobs[:2], 20.0, lambda: "leased for ever")


def test_what_was_begun_and_never_ended_is_remembered(
    dug: Pit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies leaves counts, one that fails in words leaves a pause and no count."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 60.0)
    redis = redis_of(dug)
    hand = RedisLeases(redis, 60.0)
    together, alone, failed = ("a", "1"), ("a", "2"), ("a", "3")
    hand.take([together, alone, failed])
    hand.begin([together, failed], alone=False)
    hand.begin([alone], alone=True)
    hand.failed([failed], alone=False)
    assert 0 < redis.ttl("seenit:failures") <= 3600  # another may bring it to its end
    held = dug.broker.held
    assert held.idle([together, alone, failed]) == []
    pass_by(dug, 60.0)
    assert held.idle([together, alone, failed]) == [together, alone]
    after = RedisLeases(redis, 60.0)
    assert after.take([together, alone, failed]) == {
        together: DeliveryCount(1, 0),
        alone: DeliveryCount(0, 1),
        failed: DeliveryCount(0, 0),
    }
    after.ended([together, alone, failed])
    assert held.idle([failed]) == [failed]
    assert [redis.hlen(f"seenit:{name}") for name in ("together", "alone", "failures")] == [0, 0, 0]


def test_a_job_is_missing_when_it_was_missed_twice(dug: Pit) -> None:
    """Kombu pops a message and then notes it down; when all is lost nothing is waited for."""
    jobs = [("a", str(n)) for n in range(3)]
    dug.accept(jobs, enqueue=False)
    assert dug.sweeper.sweep() == 3  # the first sweep over a Redis that knows nothing
    assert dug.broker.queue.depth() == 3
    assert [dug.sweeper.sweep() for _ in range(3)] == [0, 0, 0]
    redis_of(dug).delete("seenit:waiting:ingest:a")
    assert [dug.sweeper.sweep(), dug.sweeper.sweep()] == [0, 3]
    redis_of(dug).flushdb()
    assert dug.sweeper.sweep() == 3


def test_a_turn_that_was_lost_is_sent_again(dug: Pit) -> None:
    """With its worker, by an emptied queue, or overtaken by a later turn; none is sent twice."""
    redis, sweep = redis_of(dug), dug.sweeper.sweep
    dug.accept([("a", "1"), ("b", "1"), ("b", "2")])
    assert redis.llen("ingest") == 2
    assert [sweep() for _ in range(3)] == [0, 0, 0]
    assert redis.llen("ingest") == 2  # they wait, and are not lost
    redis.delete("ingest")
    sweep()
    assert redis.llen("ingest") == 0  # a worker may be about to use them
    sweep()
    assert redis.llen("ingest") == 2
    lost, _ = redis.hmget("seenit:turns:ingest", "a", "b")
    queue = dug.broker.worker_queue
    assert queue.take("ingest", "a", "void", ["1"]) == []
    redis.rpop("ingest")  # the first turn, which is that of a: its worker dies at once
    token = str(redis.hget("seenit:turns:ingest", "b"))
    assert queue.take("ingest", "b", token, ["1", "gone"]) == ["1"]
    sweep(), sweep()
    assert redis.hget("seenit:turns:ingest", "a") != lost
    worker = dug.thread()
    dug.empty()
    worker.close()
    assert redis.hlen("seenit:turns:ingest") == 0


def test_a_sweep_fills_the_queue_to_its_backlog(tmp_path: Path, redis_server: Server) -> None:
    """Never more than it is short of, whatever lies pending."""
    with pit(tmp_path, redis_server.url, backlog=10) as made:
        made.accept([("a", str(n)) for n in range(4)])
        made.accept([("b", str(n)) for n in range(30)], enqueue=False)
        assert made.sweeper.sweep() == 6
        assert [made.sweeper.sweep() for _ in range(3)] == [0, 0, 0]
        assert made.broker.queue.depth() == 10


def test_a_worker_outlives_a_broker_that_fails_over(tmp_path: Path) -> None:
    """While another one is made the primary, this one refuses whatever is to be written."""
    with servers.redis(tmp_path / "redis") as server, pit(tmp_path, server.url) as made:
        toil = made.thread()
        try:
            made.accept([("a", "1")])
            wait(lambda: not made.pending(), 30.0, lambda: "nothing is settled")
            redis_of(made).replicaof("127.0.0.1", "1")
            with pytest.raises(QueueUnavailableError):
                made.accept([("a", "2")])
            refused = _refused(made)
            wait(lambda: _refused(made) > refused + 1, 30.0, lambda: "the consumer asks no more")
            redis_of(made).replicaof("no", "one")
            made.empty(60.0)
            for worker in toil.workers:
                worker.check()
        finally:
            toil.close()


def _refused(made: Pit) -> int:
    """Return the number of writes that Redis refused because it is no primary."""
    told = redis_of(made).info("errorstats")
    return int(told.get("errorstat_READONLY", {"count": 0})["count"])


class Stumbles(RedisLeases):
    """Leases that fail once with an unexpected error."""

    stumbled = False

    def begin(self, jobs: Sequence[Handle], *, alone: bool) -> None:
        if not self.stumbled:
            self.stumbled = True
            raise ValueError("an unexpected error")
        super().begin(jobs, alone=alone)


def test_a_turn_survives_an_unforeseen_error(dug: Pit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs are put off as any that failed, and the next turn is as any."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 60.0)
    hand = Stumbles(redis_of(dug), 5.0)
    settled: list[str] = []

    def settle(_: str, jobs: Sequence[str], *, bounded: bool) -> list[Exception | None]:  # noqa: ARG001 - the port's
        settled.extend(jobs)
        return [None] * len(jobs)

    turns = TurnTask(dug.broker.worker_queue, hand, settle, lambda *_: None, batch=2)
    worker = turn_worker(turns, dug.broker, INGEST_QUEUE)
    worker.start()
    try:
        for job_id in ("1", "2"):
            dug.broker.queue.enqueue([("t", job_id)])
            wait(lambda: dug.broker.queue.depth() == 0, 30.0, lambda: "in hand for ever")
    finally:
        worker.close()
    assert settled == ["2"]
    assert dug.broker.held.idle([("t", "1"), ("t", "2")]) == [("t", "2")]


def test_what_dead_workers_had_does_not_count_as_waiting(
    tmp_path: Path, redis_server: Server
) -> None:
    """A fleet that was killed with as much in its hands as may wait is no full queue."""
    with pit(tmp_path, redis_server.url, backlog=10) as made:
        jobs = [("a", str(n)) for n in range(10)]
        made.accept(jobs, enqueue=False)
        RedisLeases(redis_of(made), 60.0).take(jobs)
        assert made.broker.queue.depth() == 10
        pass_by(made, 62.0)
        assert made.broker.queue.depth() == 0
        assert made.sweeper.sweep() == 10


def test_of_two_beats_one_sweeps_and_the_other_takes_over(dug: Pit) -> None:
    """The first gives up its lease, or lets it run out."""
    redis = redis_of(dug)
    one, two, three = (RedisQueueState(redis, 60.0, RedisWaitingJobs(redis)) for _ in range(3))
    assert [one.leads(), two.leads(), one.leads()] == [True, False, True]
    one.resign()
    assert [two.leads(), one.leads(), three.leads()] == [True, False, False]
    redis.pexpire(redis_keys.BEAT, 50)  # as if it had not been heard of for most of its minute
    wait(three.leads, 20.0, lambda: "the lead of a dead beat does not run out")
    assert not two.leads()


def test_news_goes_from_process_to_process(dug: Pit, tmp_path: Path, redis_server: Server) -> None:
    """A listener in another process receives every step; a late one reads the last."""
    heard: list[tuple[str, str, JobStatus]] = []
    dug.broker.progress.subscribe(lambda *news: heard.append(news))
    with pit(tmp_path / "beside", redis_server.url) as other:
        wait(
            lambda: redis_of(dug).pubsub_numsub("seenit:news")[0][1] > 0,
            30.0,
            lambda: "no listener",
        )
        other.broker.progress.publish("t", ["1", "2"], "decoding")
        assert dug.broker.progress.status("t", "1") == "decoding"
        other.broker.progress.publish("t", ["1"], "done")
        wait(lambda: len(heard) == 3, 30.0, lambda: f"heard {heard}")
    assert heard == [("t", "1", "decoding"), ("t", "2", "decoding"), ("t", "1", "done")]
    assert dug.broker.progress.status("t", "1") is None


def test_one_worker_at_a_time_has_the_place_of_a_tenant(
    dug: Pit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears whether it had it last; a dead one, or a Redis that is away, delays no other."""
    monkeypatch.setattr("adapters.broker.redis_settle_hint.WAIT_SECONDS", 0.2)
    redis = redis_of(dug)
    one, two = RedisSettleHint(redis), RedisSettleHint(redis)

    def passes(hint: RedisSettleHint) -> tuple[bool, bool]:
        began = time.monotonic()
        with hint.holding("t") as undisturbed:
            return undisturbed, time.monotonic() - began < 0.2

    assert passes(one) == (False, True)  # nothing is known of who was before
    assert passes(one) == (True, True)
    with one.holding("t"):
        assert passes(two) == (False, False)  # it went on after a while
        with two.holding("other"):
            assert 0 < redis.ttl("seenit:settler:t") <= 600
    assert [passes(two), passes(two), passes(one)] == [(False, True), (True, True), (False, True)]
    away = RedisSettleHint(connections.door("redis://127.0.0.1:1/0"))
    assert passes(away) == (False, True)
