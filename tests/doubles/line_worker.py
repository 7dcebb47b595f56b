"""Worker whose work is a line in a file, with the real queue, leases and batches around it.

As a process of its own it is `python -m tests.doubles.line_worker FOLDER SECONDS`, with the
settings in SEENIT_*.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters import settings
from adapters.blobs.opening import open_blobs
from adapters.broker import Broker, open_broker
from adapters.broker.redis_leases import RedisLeases
from adapters.settings import Settings
from core import keys
from core.ingest.sweeper import Handle, Sweeper
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE
from tests.backends.server_process import ROOT, outside, wait
from worker.settle_task import PutBackError
from worker.thread_worker import ThreadWorker
from worker.turn_task import TurnTask


class Toil:
    """Consumer of the queue `ingest`; a job whose id begins with `poison` kills the process."""

    def __init__(
        self, read: Settings, folder: Path, seconds: float = 0.0, flights: int = 1
    ) -> None:
        self.blobs = open_blobs(folder.as_uri(), durable=False)
        self.broker = open_broker(read)
        hand = self.broker.hand
        assert isinstance(hand, RedisLeases)
        self.hand = hand
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self._told = (folder.parent / "told").open("a")
        self._lock = threading.Lock()
        self.turns = TurnTask(
            self.broker.worker_queue, hand, self.settle, self._set_aside, batch=read.batch
        )
        self.workers = [
            turn_worker(self.turns, self.broker, queue, threads)
            for queue, threads in ((INGEST_QUEUE, flights), (COSTLY_QUEUE, 1))
        ]

    def start(self, seconds: float | None = 30.0) -> None:
        """Start, and return once it consumes."""
        self.hand.start()
        for worker in self.workers:
            worker.start(seconds)

    def close(self) -> None:
        """Finish the batch in hand and return the rest to the queue."""
        self.turns.closing.set()
        for worker in self.workers:
            worker.close()
        self.hand.close()
        self.broker.close()
        self._told.close()

    def settle(
        self, tenant: str, job_ids: Sequence[str], *, bounded: bool = False
    ) -> list[Exception | None]:
        """Sleep for the work, and write a line for each job; `costly` ones take ten times it.

        A turn that is `bounded` puts them back.
        """
        costly = [bounded and job_id.startswith("costly") for job_id in job_ids]
        self._work(tenant, [one for one, later in zip(job_ids, costly, strict=True) if not later])
        return [PutBackError(COSTLY_QUEUE) if later else None for later in costly]

    def _work(self, tenant: str, job_ids: Sequence[str]) -> None:
        with self._lock:
            self.batches.append(list(job_ids))
        done = self.blobs.exists([keys.done(tenant, job_id) for job_id in job_ids])
        left = [job_id for job_id, ended in zip(job_ids, done, strict=True) if not ended]
        time.sleep(self.seconds * sum(10 if "costly" in job_id else 1 for job_id in left))
        if any(job_id.startswith("poison") for job_id in left):
            os.kill(os.getpid(), signal.SIGKILL)
        self._end(tenant, left, "settled")

    def _set_aside(self, tenant: str, job_id: str) -> None:
        self._end(tenant, [job_id], "failed")

    def _end(self, tenant: str, job_ids: Sequence[str], how: str) -> None:
        first = self.blobs.create_many([(keys.done(tenant, job_id), b"1") for job_id in job_ids])
        with self._lock:
            for job_id, mine in zip(job_ids, first, strict=True):
                self._told.write(f"{how if mine else 'again'} {tenant} {job_id}\n")
            self._told.flush()
        self.blobs.delete([keys.pending(tenant, job_id) for job_id in job_ids])


def turn_worker(turns: TurnTask, broker: Broker, queue: str, threads: int = 1) -> ThreadWorker:
    """Return a consumer of one of the queues of turns."""
    app = broker.consumer(queue, controlled=queue == INGEST_QUEUE)
    turns.register(app, queue)
    return ThreadWorker(app, name=queue, threads=threads)


class Pit:
    """Folder of pending jobs with the lines of what happened to them."""

    def __init__(self, folder: Path, read: Settings) -> None:
        self.folder = folder
        self.blobs = open_blobs(self._store.as_uri(), durable=False)
        self.read = read
        self.broker: Broker = open_broker(read)
        self.sweeper = Sweeper(
            self.blobs,
            self.broker.queue,
            self.broker.sweep_seconds,
            held=self.broker.held,
            backlog=read.backlog,
        )
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def _store(self) -> Path:
        return self.folder / "store"

    def accept(self, jobs: Iterable[Handle], *, enqueue: bool = True) -> None:
        """Accept jobs as an API does: pending first, then the queue."""
        jobs = list(jobs)
        self.blobs.create_many([(keys.pending(tenant, job_id), b"{}") for tenant, job_id in jobs])
        if enqueue:
            self.broker.queue.enqueue(jobs)

    def pending(self) -> list[Handle]:
        """Return the jobs that are not settled yet."""
        return [
            (tenant, key.rpartition("/")[2])
            for tenant in self.blobs.folders("pending/")
            for key in self.blobs.keys(f"pending/{tenant}/")
        ]

    def told(self) -> Counter[tuple[str, str]]:
        """Count how often each job came to each end."""
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter((how, job_id) for how, _, job_id in map(str.split, lines))

    def empty(self, seconds: float = 60.0) -> None:
        """Wait until nothing is pending, with sweeps meanwhile."""
        self.sweeper.start()
        wait(lambda: not self.pending(), seconds, lambda: f"{len(self.pending())} are pending")

    def thread(self, seconds: float = 0.0, flights: int = 1) -> Toil:
        """Start a worker in this process."""
        toil = Toil(self.read, self._store, seconds, flights)
        toil.start()
        return toil

    def process(self, seconds: float = 0.0) -> subprocess.Popen[bytes]:
        """Start a worker as a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.line_worker", str(self._store), str(seconds)],
            cwd=ROOT,
            env={
                **outside(),
                "SEENIT_DATA": str(self.read.data),
                "SEENIT_BROKER_URL": self.read.broker_url,
                "SEENIT_BATCH": str(self.read.batch),
                "SEENIT_LEASE_SECONDS": str(self.read.lease_seconds),
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.sweeper.close()
        self.broker.close()


@contextmanager
def pit(folder: Path, url: str, *, door_seconds: float = 5.0, **changes: object) -> Iterator[Pit]:
    """Open a pit with short leases and quick sweeps over this Redis, which is emptied first.

    Callers wait longer than by default: a stalled machine is no fault here.
    """
    read = Settings(
        **{  # type: ignore[arg-type]  # fields by their names
            "data": folder,
            "broker_url": url,
            "batch": 8,
            "lease_seconds": 1.0,
            "sweep_seconds": 0.1,
            **changes,
        }
    )
    (folder / "store").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("adapters.broker.connections.DOOR_SECONDS", door_seconds)
        made = Pit(folder, read)
        assert made.broker.redis is not None
        made.broker.redis.flushdb()
        try:
            yield made
        finally:
            made.close()


def main() -> None:
    """Consume until SIGTERM arrives."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    toil = Toil(settings.load(), Path(sys.argv[1]), float(sys.argv[2]))
    toil.start(None)
    told.wait()
    toil.close()


if __name__ == "__main__":
    main()
