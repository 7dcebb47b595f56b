"""A worker in a thread takes batches off the queue and gives back what found no outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters import wiring
from adapters.celery_queue import CeleryQueue, create_celery
from adapters.settings import Settings
from core.accept import Upload
from core.entries import Fields, Job
from core.errors import IndexUnavailableError
from core.sweep import Hand
from tests.pictures import jpeg, photo
from worker.app import ThreadWorker
from worker.batching import register
from worker.tasks import Settling

Settle = Callable[[str, Sequence[str]], list[Exception | None]]


@contextmanager
def running(settle: Settle, batch: int = 8) -> Iterator[tuple[CeleryQueue, Hand]]:
    """A queue with a worker at its other end."""
    app = create_celery("memory://", batch=batch)
    hand = Hand()
    register(app, settle, batch=batch, ended=hand.ended, failed=hand.failed)
    worker = ThreadWorker(app)
    worker.start()
    try:
        yield CeleryQueue(app, hand), hand
    finally:
        worker.close()
        app.close()


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll until it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_every_job_is_settled_once_in_batches_of_one_tenant() -> None:
    """100 jobs of two tenants come in batches of at most 8, none twice, none mixed."""
    batches: list[tuple[str, list[str]]] = []

    def settle(tenant: str, ids: Sequence[str]) -> list[Exception | None]:
        batches.append((tenant, list(ids)))
        return [None] * len(ids)

    jobs = [(("a", "b")[n % 2], str(n)) for n in range(100)]
    with running(settle) as (queue, hand):
        queue.enqueue(jobs)
        until(lambda: len(hand) == 0)
    settled = [(tenant, job) for tenant, ids in batches for job in ids]
    assert sorted(settled) == sorted(jobs)
    assert max(len(ids) for _, ids in batches) <= 8


def test_batches_never_overlap() -> None:
    """A full batch and a timed one wait for each other."""
    at_once, most = [0], [0]

    def settle(_tenant: str, ids: Sequence[str]) -> list[Exception | None]:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.03)
        at_once[0] -= 1
        return [None] * len(ids)

    with running(settle) as (queue, hand):
        for n in range(40):
            queue.enqueue([("a", str(n))])
        until(lambda: len(hand) == 0)
    assert most[0] == 1


def test_one_that_fails_does_not_fail_its_neighbours() -> None:
    """Only the job with an error is tried again later."""

    def settle(_tenant: str, ids: Sequence[str]) -> list[Exception | None]:
        return [ValueError(job) if job == "3" else None for job in ids]

    with running(settle) as (queue, hand):
        queue.enqueue([("a", str(n)) for n in range(6)])
        until(lambda: len(hand) == 0)
        assert [hand.attempts(("a", str(n))) for n in range(6)] == [0, 0, 0, 1, 0, 0]


def test_two_workers_of_one_process_share_nothing() -> None:
    """Each takes its own queue's jobs, and one goes on when the other is closed."""
    seen: dict[str, list[str]] = {"one": [], "two": []}

    def settle(whose: str) -> Settle:
        def mine(_tenant: str, ids: Sequence[str]) -> list[Exception | None]:
            seen[whose] += ids
            return [None] * len(ids)

        return mine

    with running(settle("one")) as (first, hand):
        with running(settle("two")) as (second, other):
            second.enqueue([("a", "2")])
            until(lambda: len(other) == 0)
        first.enqueue([("a", "1")])
        until(lambda: len(hand) == 0)
    assert seen == {"one": ["1"], "two": ["2"]}


def test_closing_an_idle_worker_is_quick() -> None:
    """It does not sit out the consumer's two-second wait."""
    with running(lambda _tenant, ids: [None] * len(ids)):
        before = time.monotonic()
    assert time.monotonic() - before < 1.0


def test_what_the_index_does_not_take_yet_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is settled, and put off all the same: else the sweeper would send it at every turn."""
    services = wiring.build(Settings(data=tmp_path, model="none", durable=False))
    try:
        path = tmp_path / "upload"
        path.write_bytes(jpeg(photo(1, 320, 240)))
        upload = Upload(path=path, filename=None, sha256="a", md5="b", bytes=1)
        (job,) = services.acceptor.uploads("default", [upload], Fields()).items
        assert isinstance(job, Job)
        settling = Settling(services.ingest)

        def away(*_: object, **__: object) -> None:
            raise IndexUnavailableError("away")

        with monkeypatch.context() as patched:
            patched.setattr(services.index, "project", away)
            (error,) = settling("default", [job.job_id])
        assert isinstance(error, IndexUnavailableError)
        assert services.log.head("default") == 1
        assert list(services.blobs.keys("pending/default/"))
        assert settling("default", [job.job_id]) == [None]
        assert services.log.head("default") == 1
        assert not list(services.blobs.keys("pending/default/"))
    finally:
        services.close()
