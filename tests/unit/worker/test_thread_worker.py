"""A worker in a thread takes batches off the queue and gives back what found no outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters import wiring
from adapters.broker import open_broker
from adapters.broker.job_queue import JobQueue
from adapters.settings import Settings
from adapters.wiring import Services
from core.embedding.pipeline import Digests
from core.errors import IndexUnavailableError, SeenitError
from core.ingest.accept import Upload
from core.ingest.sweeper import InFlightJobs
from core.records import Fields, Job
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE
from core.types import Canonical, Fingerprint
from tests.doubles.line_worker import turn_worker
from tests.samples.pictures import jpeg, photo
from worker.settle_task import SettleTask
from worker.turn_task import LocalLeases, TurnTask

Settle = Callable[[str, Sequence[str]], list[Exception | None]]


@contextmanager
def running(settle: Settle, batch: int = 8) -> Iterator[tuple[JobQueue, InFlightJobs]]:
    """Run a queue with a worker at its other end."""
    broker = open_broker(Settings(model="none"))
    hand = broker.hand
    assert isinstance(hand, InFlightJobs)
    hand.listen()

    def settle_turn(
        tenant: str,
        job_ids: Sequence[str],
        *,
        bounded: bool,  # noqa: ARG001 - the port's
    ) -> list[Exception | None]:
        return settle(tenant, job_ids)

    leases = LocalLeases(hand)
    turns = TurnTask(broker.queue, leases, settle_turn, lambda *_: None, batch=batch)
    workers = [turn_worker(turns, broker, queue) for queue in (INGEST_QUEUE, COSTLY_QUEUE)]
    for worker in workers:
        worker.start()
    try:
        yield broker.queue, hand
    finally:
        turns.closing.set()
        for worker in workers:
            worker.close()
        broker.close()


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


def test_one_that_fails_does_not_fail_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the job with an error is tried again later."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 60.0)
    jobs = [("a", str(n)) for n in range(6)]

    def settle(_tenant: str, ids: Sequence[str]) -> list[Exception | None]:
        return [ValueError(job) if job == "3" else None for job in ids]

    with running(settle) as (queue, hand):
        queue.enqueue(jobs)
        until(lambda: len(hand) == 0)
        assert hand.take(jobs) == jobs[:3] + jobs[4:]


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
    assert time.monotonic() - before < 1.9


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Yield all services in one process, with nothing running."""
    built = wiring.build(Settings(data=tmp_path, model="none", caption_model="none", durable=False))
    yield built
    built.close()


def accepted(services: Services, folder: Path, seed: int = 1) -> str:
    """Accept one made photo, and return the id of its pending job."""
    path = folder / "upload"
    path.write_bytes(jpeg(photo(seed, 320, 240)))
    upload = Upload(path=path, filename=None, sha256=f"{seed}", md5="b", bytes=1)
    (job,) = services.acceptor.uploads("default", [upload], Fields()).items
    assert isinstance(job, Job)
    return job.job_id


def away(*_: object, **__: object) -> None:
    """Raise the error of an index that is down."""
    raise IndexUnavailableError("away")


def test_what_the_index_does_not_take_yet_comes_again(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is settled, and put off all the same: else the sweeper would send it at every turn."""
    job_id = accepted(services, tmp_path)
    settling = SettleTask(services.ingest)
    with monkeypatch.context() as patched:
        patched.setattr(services.index, "project_entry", away)
        (error,) = settling("default", [job_id])
    assert isinstance(error, IndexUnavailableError)
    assert services.log.head("default") == 1
    assert list(services.blobs.keys("pending/default/"))
    assert settling("default", [job_id]) == [None]
    assert services.log.head("default") == 1
    assert not list(services.blobs.keys("pending/default/"))


@pytest.mark.parametrize(("part", "decodes"), [("project_entry", [4, 4]), ("watermark", [1, 5])])
def test_while_the_index_is_away_nothing_is_decoded_twice(
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    decodes: list[int],
) -> None:
    """Settling waits for it; until then both jobs come again and again.

    The first batch of a worker finds out that there is no watermark only once it has decoded.
    """
    decoded: list[int] = []
    decode = services.ingest._perceiver.decode

    def counting(
        data: Sequence[bytes], told: Sequence[Digests]
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        decoded.append(len(data))
        return decode(data, told)

    monkeypatch.setattr(services.ingest._perceiver, "decode", counting)
    settling = SettleTask(services.ingest)
    jobs = [accepted(services, tmp_path, seed) for seed in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(services.index, part, away)
        for _ in range(3):
            for job_id in jobs:
                (error,) = settling("default", [job_id])
                assert isinstance(error, IndexUnavailableError)
        assert sum(decoded) == decodes[0]
    assert settling("default", jobs) == [None] * 4
    assert sum(decoded) == decodes[1]
    assert all(services.index.read_states("default", jobs))


def test_an_index_that_has_just_failed_is_left_alone_for_a_while(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try at a replica that is away costs a second, and what is settled can wait."""
    tried: list[int] = []

    def slowly_away(*_: object, **__: object) -> None:
        tried.append(1)
        threading.Event().wait(0.5)
        raise IndexUnavailableError("away")

    settling = SettleTask(services.ingest)
    jobs = [accepted(services, tmp_path, seed) for seed in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(services.index, "project_entry", slowly_away)
        for job_id in (*jobs, *jobs):
            (error,) = settling("default", [job_id])
            assert isinstance(error, IndexUnavailableError)
        assert len(tried) == 1
        assert services.projector.behind() == services.log.head("default") == 2
    until(lambda: not services.projector.rests("default"))
    assert settling("default", jobs) == [None, None]


def test_where_nobody_consumes_nothing_is_queued(services: Services, tmp_path: Path) -> None:
    """A process that stands by would else gather messages for good: the holder settles them."""
    accepted(services, tmp_path)
    assert services.queue.depth() == 0
    hand = services.broker.hand
    assert isinstance(hand, InFlightJobs)
    hand.listen()
    accepted(services, tmp_path)
    assert services.queue.depth() == 1


def test_a_tenant_that_cannot_be_brought_up_ends_no_other(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by a defect of ours: all of them would stand still at every start."""
    job_id = accepted(services, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(services.index, "project_entry", away)
        SettleTask(services.ingest)("default", [job_id])
    advance = services.projector.advance

    def defect(tenant: str) -> int:
        if tenant == "a-broken-one":
            raise RecursionError
        return advance(tenant)

    monkeypatch.setattr(services.projector, "advance", defect)
    monkeypatch.setattr(services.log, "tenants", lambda: ["a-broken-one", "default"])
    services.projector.catch_up()
    assert services.index.watermark("default") == 1
