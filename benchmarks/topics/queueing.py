"""Cost of the queue for a job without work: in the process, and over Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.progress import Progress

from adapters.broker import open_broker
from adapters.broker.celery_app import CeleryQueue, create_celery
from adapters.broker.redis_leases import RedisLeases
from adapters.settings import Settings
from benchmarks.data import photos
from benchmarks.report import Row, Run
from core.ingest.sweeper import InFlightJobs
from core.ports import Queue
from core.task_names import INGEST_QUEUE
from tests.backends import servers
from worker.batch_scheduler import BatchScheduler
from worker.batch_task import gather, register
from worker.thread_worker import ThreadWorker

BATCH = 64
BATCHES, BATCHES_QUICK = 30, 2
PATIENCE = 120.0


def rows(run: Run) -> list[Row]:
    """Measure the queue's cost per picture in full batches, over memory:// and Redis."""
    jobs = BATCH * (BATCHES_QUICK if run.quick else BATCHES)
    return [_within(run.progress, jobs), _over_redis(run.progress, jobs)]


class _Settling:
    """Settles any job at once, and counts them."""

    def __init__(self, count: int) -> None:
        self.sizes: list[int] = []
        self._count = count
        self._every = threading.Event()

    def __call__(self, _: str, jobs: Sequence[str]) -> list[Exception | None]:
        self.sizes.append(len(jobs))
        if sum(self.sizes) >= self._count:
            self._every.set()
        return [None] * len(jobs)

    def timed(self, progress: Progress, title: str, queue: Queue) -> float:
        """Send the jobs in batches; return the seconds until all have come through."""
        task = progress.add_task(title, total=None)
        began = time.perf_counter()
        for start in range(0, self._count, BATCH):
            queue.enqueue([("default", f"job-{n}") for n in range(start, start + BATCH)])
        if not self._every.wait(PATIENCE):
            raise RuntimeError(f"only {sum(self.sizes)} of {self._count} jobs came through")
        taken = time.perf_counter() - began
        progress.remove_task(task)
        return taken


def _over_redis(progress: Progress, count: int) -> Row:
    """Measure jobs from sent to acknowledged, by one process and Redis on one machine."""
    settle = _Settling(count)
    with photos.folder() as folder, servers.redis(folder) as server:
        broker = open_broker(Settings(data=folder, broker_url=server.url))
        assert isinstance(broker.hand, RedisLeases)
        broker.hand.start()
        flights = BatchScheduler(broker.hand, settle, lambda *_: None, batch=BATCH, flights=1)
        app = broker.consumer(INGEST_QUEUE, BATCH)
        gather(app, flights.receive, batch=BATCH)
        flights.start()
        worker = ThreadWorker(app, leaving=flights.close)
        worker.start()
        taken = settle.timed(progress, "queueing over Redis", broker.queue)
        worker.close()
        broker.hand.close()
        broker.close()
    return _row("the queue's cost per picture in a full batch, over Redis", settle.sizes, taken)


def _within(progress: Progress, count: int) -> Row:
    """Measure jobs within one process."""
    celery = create_celery("memory://", batch=BATCH)
    hand = InFlightJobs()
    queue = CeleryQueue(celery, hand)
    settle = _Settling(count)
    register(celery, settle, batch=BATCH, ended=hand.ended, failed=hand.failed)
    worker = ThreadWorker(celery)
    worker.start()
    taken = settle.timed(progress, "queueing", queue)
    worker.close()
    celery.close()
    return _row("the queue's cost per picture in a full batch", settle.sizes, taken)


def _row(work: str, sizes: Sequence[int], taken: float) -> Row:
    return Row(
        work=work,
        unit="ms",
        value=taken / sum(sizes) * 1e3,
        target=2,
        better="less",
        details={"pictures": sum(sizes), "batch, median": sorted(sizes)[len(sizes) // 2]},
    )
