"""Workers over a real Redis: what each takes, gives back, leaves behind, and never does twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest

from adapters.broker.redis_leases import RedisLeases
from adapters.wiring import build
from core import keys
from core.admin_tasks import AdminTask, AdminTaskReport
from core.errors import StoreUnavailableError
from core.task_names import DEFAULT_QUEUE
from tests.backends import servers
from tests.backends.server_process import wait
from tests.doubles.line_worker import Pit, pit
from tests.e2e.fleet import fleet
from tests.samples.pictures import jpeg, photo
from worker import admin_tasks
from worker.admin_tasks import AdminConsumer
from worker.thread_worker import ThreadWorker

Server = servers.Redis | servers.Given


def test_every_job_is_settled_once_in_batches_of_one_tenant(dug: Pit) -> None:
    """If each is delivered twice, the second delivery is dropped without a trace."""
    jobs = [(("a", "b")[n % 2], f"{n}") for n in range(60)]
    worker = dug.thread(0.002)
    try:
        dug.accept(jobs)
        dug.broker.queue.enqueue(jobs)
        wait(lambda: not dug.pending(), 60.0, lambda: f"{len(dug.pending())} are pending")
        dug.broker.queue.enqueue(jobs)
        wait(lambda: dug.broker.queue.depth() == 0, 60.0, lambda: "the queue is not empty")
    finally:
        worker.close()
    assert dug.told() == Counter({("settled", job_id): 1 for _, job_id in jobs})
    assert max(map(len, worker.batches)) <= 8
    assert all(len({int(job_id) % 2 for job_id in batch}) == 1 for batch in worker.batches)
    redis = dug.broker.redis
    assert redis is not None
    assert [redis.hlen("unacked"), redis.zcard("seenit:leases"), redis.hlen("seenit:alone")] == [
        0,
        0,
        0,
    ]


def test_two_workers_never_work_on_the_same_job(dug: Pit) -> None:
    """A job that the queue holds twice goes to the worker that leased it first."""
    jobs = [("a", f"{n}") for n in range(48)]
    dug.accept(jobs)
    dug.broker.queue.enqueue(jobs)
    workers = [dug.thread(0.01, flights) for flights in (1, 2)]
    wait(lambda: not dug.pending(), 60.0, lambda: f"{len(dug.pending())} are pending")
    for worker in workers:
        worker.close()
    settled = list(chain.from_iterable(chain.from_iterable(w.batches for w in workers)))
    done = dug.told()
    assert [done["settled", job_id] for _, job_id in jobs] == [1] * 48
    assert done["again", jobs[0][1]] == 0
    assert set(settled) == {job_id for _, job_id in jobs}


def test_a_worker_that_is_stopped_gives_the_rest_back_at_once(dug: Pit) -> None:
    """It ends the batch in hand; its other jobs are in the queue again, without a lease."""
    jobs = [("a", f"{n}") for n in range(200)]  # more than can be done before it is stopped
    worker = dug.thread(0.02, 2)
    dug.accept(jobs)
    wait(lambda: len(worker.batches) >= 2, 60.0, lambda: "it takes nothing")
    worker.close()
    settled = [job_id for batch in worker.batches for job_id in batch]
    assert [how for how, _ in dug.told()] == ["settled"] * len(settled)
    left = {job for job in jobs if job[1] not in settled}
    assert left
    assert set(dug.pending()) == left
    assert set(dug.broker.held.queued()) == left
    assert set(dug.broker.held.idle(sorted(left))) == left
    assert dug.broker.redis is not None
    assert dug.broker.redis.hlen("unacked") == 0


def test_the_work_of_a_killed_worker_is_taken_over(tmp_path: Path, redis_server: Server) -> None:
    """Within the time of its leases and two sweeps, and without the visibility timeout."""
    jobs = [("a", f"{n}") for n in range(24)]
    with pit(tmp_path, redis_server.url, lease_seconds=1.0) as made:
        victim = made.process(30.0)
        made.accept(jobs)
        wait(lambda: _leased(made) >= 8, 60.0, lambda: "it takes nothing")
        victim.kill()
        victim.wait()
        began = time.monotonic()
        worker = made.thread()
        made.empty(60.0)
        assert time.monotonic() - began < 15.0  # as long as leases are where nobody set them
        worker.close()
        assert made.told() == Counter({("settled", job_id): 1 for _, job_id in jobs})


def test_sigterm_ends_a_worker_with_its_batch_done(dug: Pit) -> None:
    """Exit code 0, within the time of a batch."""
    process = dug.process(0.05)
    dug.accept([("a", f"{n}") for n in range(30)])
    wait(lambda: _leased(dug) >= 8, 60.0, lambda: "it takes nothing")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60.0) == 0
    told = dug.told()
    assert set(told.values()) <= {1}
    assert len(told) + len(dug.pending()) == 30
    assert set(dug.broker.held.queued()) == set(dug.pending())


def test_a_worker_finds_its_way_back_to_a_redis_that_forgot_everything(tmp_path: Path) -> None:
    """The worker settles the jobs in hand, and the sweeper enqueues the rest at once."""
    with servers.redis(tmp_path / "redis") as server, pit(tmp_path, server.url) as made:
        worker = made.thread(0.01)
        made.sweeper.start()
        made.accept([("a", f"{n}") for n in range(60)])
        wait(lambda: len(worker.batches) >= 2, 60.0, lambda: "it takes nothing")
        server.kill()
        made.blobs.create_many([(keys.pending("a", f"late-{n}"), b"{}") for n in range(5)])
        server.start()
        wait(lambda: not made.pending(), 30.0, lambda: f"{len(made.pending())} are pending")
        worker.close()
    told = made.told()
    assert {job_id for _, job_id in told} == {
        *(f"{n}" for n in range(60)),
        *(f"late-{n}" for n in range(5)),
    }
    assert all(times == 1 for (how, _), times in told.items() if how == "settled")


def test_a_job_that_fails_comes_again_later_and_its_neighbours_do_not_wait(
    dug: Pit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is down costs a pause, and no job is ever set aside for it."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 0.1)
    down = threading.Event()
    down.set()
    worker = dug.thread()
    good = worker.settle

    def settle(tenant: str, job_ids: list[str], *, bounded: bool) -> list[Exception | None]:  # noqa: ARG001 - the port's
        bad = [job_id for job_id in job_ids if down.is_set() and job_id == "3"]
        ended = good(tenant, [job_id for job_id in job_ids if job_id not in bad])
        assert ended == [None] * len(ended)
        return [OSError() if job_id in bad else None for job_id in job_ids]

    worker.turns._settle = settle  # type: ignore[assignment]
    dug.accept([("a", f"{n}") for n in range(6)])
    dug.sweeper.start()
    wait(lambda: dug.pending() == [("a", "3")], 60.0, lambda: f"{dug.pending()} are pending")
    redis = dug.broker.redis
    assert redis is not None
    wait(
        lambda: int(str(redis.hget("seenit:failures", "a/3") or 0)) >= 3,
        60.0,
        lambda: "it is not tried again",
    )
    assert (redis.hget("seenit:alone", "a/3") or "0") in ("0", "1")
    down.clear()
    wait(lambda: not dug.pending(), 60.0, lambda: "it is still pending")
    worker.close()
    assert dug.told()["settled", "3"] == 1


def test_a_beat_and_a_worker_start_without_a_broker_and_say_so(tmp_path: Path) -> None:
    """They wait for it; a beat imports no model library."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "SEENIT_DATA": str(tmp_path),
        "SEENIT_BROKER_URL": "redis://127.0.0.1:1/0",
        "SEENIT_MODEL": "none",
        "SEENIT_CAPTION_MODEL": "none",
    }
    code = (
        "import atexit, sys; from cli.main import run\n"
        "seen = ('torch', 'transformers')\n"
        "atexit.register(lambda: print([name for name in seen if name in sys.modules]))\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    logs = {name: tmp_path / f"{name}.log" for name in ("beat", "worker")}
    with ExitStack() as ends:
        processes = {}
        for name, log in logs.items():
            with log.open("w") as told:
                process = subprocess.Popen(
                    [sys.executable, "-c", code, name], env=environment, stdout=told, stderr=told
                )
            processes[name] = process
            ends.callback(process.wait)
            ends.callback(process.kill)
        for name, process in processes.items():
            wait(lambda name=name: "broker" in logs[name].read_text(), 60.0, logs[name].read_text)  # type: ignore[misc]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60.0) == 0, logs[name].read_text()
            assert logs[name].read_text().splitlines()[-1] == "[]"


def _leased(made: Pit) -> int:
    assert made.broker.redis is not None
    return int(made.broker.redis.zcard("seenit:leases"))


def test_three_batches_under_way_at_once_tell_one_original(
    tmp_path: Path, redis_server: Server
) -> None:
    """A whole service in processes: 24 edits of one photo at once, in batches of four."""
    picture = photo(7, 400, 300)
    index = f"sqlite://{tmp_path}/index.sqlite"
    with fleet(
        tmp_path / "fleet",
        redis=redis_server.url,
        weaviate=index,
        SEENIT_FLIGHTS="3",
        SEENIT_BATCH="4",
    ) as service:
        files = [(f"{quality}.jpg", jpeg(picture, quality)) for quality in range(60, 84)]
        answer = service.upload(files, wait=60)
        assert answer.status_code == 200, answer.text
        kinds = Counter(item["verdict"]["kind"] for item in answer.json()["items"])
        assert kinds == {"new": 1, "near_duplicate": 23}
        assert [process.stop() for process in service.processes] == [0, 0, 0]
        assert service.pending() == []


def test_an_admin_task_runs_on_a_worker_and_is_left_to_the_next_by_one_that_stops(
    dug: Pit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stops sends it again; its outcome is stored once the store takes it."""
    services = build(dug.read.model_copy(update={"model": "none", "caption_model": "none"}))
    tasks, leases = services.admin_tasks, services.broker.hand
    assert isinstance(leases, RedisLeases)
    stop = threading.Event()
    begun: list[int] = []

    def slow(_: object, __: object, progress: Callable[[int, int], None]) -> dict[str, object]:
        begun.append(1)
        if len(begun) == 1:
            stop.set()
        progress(1, 2)
        return {"went": "well"}

    monkeypatch.setitem(admin_tasks.KINDS, "slow", slow)
    first, second = (AdminConsumer(services, leases, one) for one in (stop, threading.Event()))
    app = dug.broker.consumer(DEFAULT_QUEUE)
    whole, refused = tasks.report, [StoreUnavailableError("full")]

    def report(task: AdminTask, came: AdminTaskReport) -> None:
        if came.ended and refused:
            raise refused.pop()
        whole(task, came)

    monkeypatch.setattr(tasks, "report", report)
    try:
        task = tasks.request("slow")
        first.run(task.task_id)
        assert tasks.waiting() == [task]
        second.register(app)
        worker = ThreadWorker(app)
        worker.start()
        wait(lambda: tasks.read_report(task.task_id).ended, 60.0, lambda: "no worker runs it")
        worker.close()
        assert tasks.read_report(task.task_id) == AdminTaskReport(
            status="done", done=1, total=2, result={"went": "well"}
        )
        assert (len(begun), tasks.waiting()) == (2, [])
    finally:
        services.close()
