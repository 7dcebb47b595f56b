"""What the queue costs a picture, with nothing to do for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.progress import Progress

from adapters.celery_queue import CeleryQueue, create_celery
from core.sweep import Hand
from tests.bench.rows import Row
from worker.app import ThreadWorker
from worker.batching import register

BATCH = 64
BATCHES = 30
PATIENCE = 120.0


def rows(progress: Progress) -> list[Row]:
    """The queue's cost per picture in full batches over memory://."""
    celery = create_celery("memory://", batch=BATCH)
    hand = Hand()
    queue = CeleryQueue(celery, hand)
    sizes: list[int] = []
    every = threading.Event()

    def settle(_: str, jobs: Sequence[str]) -> list[Exception | None]:
        sizes.append(len(jobs))
        if sum(sizes) >= BATCH * BATCHES:
            every.set()
        return [None] * len(jobs)

    register(celery, settle, batch=BATCH, ended=hand.ended, failed=hand.failed)
    worker = ThreadWorker(celery)
    worker.start()
    task = progress.add_task("queueing", total=None)
    began = time.perf_counter()
    for start in range(0, BATCH * BATCHES, BATCH):
        queue.enqueue([("default", f"job-{n}") for n in range(start, start + BATCH)])
    if not every.wait(PATIENCE):
        raise RuntimeError(f"only {sum(sizes)} of {BATCH * BATCHES} jobs came through")
    taken = time.perf_counter() - began
    worker.close()
    celery.close()
    progress.remove_task(task)
    return [
        Row(
            work="the queue's cost per picture in a full batch",
            unit="ms",
            value=taken / sum(sizes) * 1e3,
            target=2,
            better="less",
            details={"pictures": sum(sizes), "batch, median": sorted(sizes)[len(sizes) // 2]},
        )
    ]
