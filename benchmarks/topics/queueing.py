"""Cost of the queue for a job without work: in the process, and over Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.progress import Progress

from adapters.broker import Broker, open_broker
from adapters.broker.redis_leases import RedisLeases
from adapters.settings import Settings
from benchmarks.data import photos
from benchmarks.report import Row, Run
from core.ingest.sweeper import InFlightJobs
from core.ports import Queue
from core.task_names import INGEST_QUEUE
from tests.backends import servers
from worker.thread_worker import ThreadWorker
from worker.turn_task import Leases, LocalLeases, TurnTask

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

    def __call__(
        self,
        tenant: str,  # noqa: ARG002 - the port's
        job_ids: Sequence[str],
        *,
        bounded: bool,  # noqa: ARG002 - likewise
    ) -> list[Exception | None]:
        self.sizes.append(len(job_ids))
        if sum(self.sizes) >= self._count:
            self._every.set()
        return [None] * len(job_ids)

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
    with photos.folder() as folder, servers.redis(folder) as server:
        broker = open_broker(Settings(data=folder, broker_url=server.url))
        assert isinstance(broker.hand, RedisLeases)
        broker.hand.start()
        row = _row("over Redis", broker, broker.hand, progress, count)
        broker.hand.close()
    return row


def _within(progress: Progress, count: int) -> Row:
    """Measure jobs within one process."""
    with photos.folder() as folder:
        broker = open_broker(Settings(data=folder))
        assert isinstance(broker.hand, InFlightJobs)
        broker.hand.listen()
        return _row("in one process", broker, LocalLeases(broker.hand), progress, count)


def _row(where: str, broker: Broker, leases: Leases, progress: Progress, count: int) -> Row:
    settle = _Settling(count)
    turns = TurnTask(broker.worker_queue, leases, settle, lambda *_: None, batch=BATCH)
    app = broker.consumer(INGEST_QUEUE)
    turns.register(app, INGEST_QUEUE)
    worker = ThreadWorker(app, name=INGEST_QUEUE)
    worker.start()
    taken = settle.timed(progress, f"queueing {where}", broker.queue)
    turns.closing.set()
    worker.close()
    broker.close()
    sizes = settle.sizes
    return Row(
        work=f"the queue's cost per picture in a full batch, {where}",
        unit="ms",
        value=taken / sum(sizes) * 1e3,
        target=2,
        better="less",
        details={"pictures": sum(sizes), "batch, median": sorted(sizes)[len(sizes) // 2]},
    )
