"""The sweeper, which enqueues pending jobs again that the queue has lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from core.backoff import pause_after
from core.errors import SeenitError, UnavailableError
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Queue
from core.supervision import SupervisedThread

EVERY_SECONDS = 0.5
"""Seconds between two sweeps: another process's lost job is found within a second."""
BACKLOG = 10_000
"""Depth of the queue at which the sweeper adds no more jobs."""
PART = 1_000
"""Keys of one listing of a bucket, and jobs looked up at once."""
TOGETHER = 64
"""Jobs of one tenant enqueued in a row: a full batch, which has one tenant."""

Handle = tuple[str, str]

logger = logging.getLogger(__name__)


class QueueState(Protocol):
    """The state of pending jobs in the queue. Its methods raise QueueUnavailableError."""

    looks: int
    """Consecutive sweeps in which a job must be missing before it is enqueued again."""

    def emptied(self) -> bool:
        """Return whether the queue lost everything since the last sweep: requeue at once."""

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Return the jobs that no worker has and that are not put off, in order."""

    def queued(self) -> Collection[Handle]:
        """Return the jobs that wait in the queue."""


class InFlightJobs:
    """The jobs that this process enqueued and has not ended, and when failed ones may be retried.

    It is the `QueueState` of a queue inside the process.
    """

    looks = 1

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, listening: bool = True
    ) -> None:
        """Create it empty; `listening`: a consumer runs already."""
        self._clock = clock
        self._lock = threading.Lock()
        self._listening = listening
        self._taken: set[Handle] = set()
        self._waits: dict[Handle, tuple[int, float]] = {}

    def listen(self) -> None:
        """Take jobs from now on, as a consumer runs; before, they would pile up."""
        with self._lock:
            self._listening = True

    def deafen(self) -> None:
        """Take no more jobs, release those in flight, and keep the pauses of failed ones."""
        with self._lock:
            self._listening = False
            self._taken.clear()

    def take(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Mark jobs as in flight; return those that were not."""
        with self._lock:
            fresh = self._free(jobs) if self._listening else []
            self._taken.update(fresh)
        return fresh

    def ended(self, jobs: Sequence[Handle]) -> None:
        """Forget jobs that have ended."""
        with self._lock:
            for job in jobs:
                self._taken.discard(job)
                self._waits.pop(job, None)

    def failed(self, jobs: Sequence[Handle]) -> None:
        """Release jobs that are still pending, to be retried after a pause."""
        with self._lock:
            for job in jobs:
                self._taken.discard(job)
                attempts = self._waits.get(job, (0, 0.0))[0] + 1
                self._waits[job] = (attempts, self._clock() + pause_after(attempts))

    def __len__(self) -> int:
        """Return the number of jobs enqueued or being settled."""
        with self._lock:
            return len(self._taken)

    def emptied(self) -> bool:
        """Return False: this queue is lost only with its process."""
        return False

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Return the jobs neither in flight nor put off, in order."""
        with self._lock:
            return self._free(jobs)

    def queued(self) -> Collection[Handle]:
        """Return nothing: waiting jobs are in flight as well."""
        return ()

    def _free(self, jobs: Sequence[Handle]) -> list[Handle]:
        now = self._clock()
        return [
            job
            for job in dict.fromkeys(jobs)
            if job not in self._taken and self._waits.get(job, (0, 0.0))[1] <= now
        ]


class Sweeper:
    """A thread that lists `pending/` and enqueues the jobs that neither queue nor worker has."""

    def __init__(
        self,
        blobs: Blobs,
        queue: Queue,
        every: float = EVERY_SECONDS,
        *,
        held: QueueState | None = None,
        backlog: int = BACKLOG,
        meter: Meter = UNMETERED,
    ) -> None:
        """Create a sweeper; without `held` the queue itself drops jobs that it has."""
        self._blobs = blobs
        self._queue = queue
        self._every = every
        self._held: QueueState = InFlightJobs() if held is None else held
        self._backlog = backlog
        self._meter = meter
        self._missing: set[Handle] = set()
        self._stop = threading.Event()
        self._thread = SupervisedThread("sweeper", self._run, self._stop, meter=meter)

    def start(self) -> None:
        """Start a thread that sweeps at once, then periodically; `close` may come before."""
        self._stop.clear()
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Return why its thread does not sweep, None if it does."""
        return self._thread.failure

    def close(self) -> None:
        """Stop, and wait for a running sweep."""
        self._stop.set()
        self._thread.join()

    def stand_by(self) -> None:
        """Forget the missing jobs and clear the gauge, as another process sweeps."""
        self._missing.clear()
        self._meter.gauge("pending", 0)

    def sweep(self) -> int:
        """Enqueue the pending jobs that neither queue nor worker has; return how many.

        It adds no more than the queue is short of its backlog. A broker delivers a message and
        records its consumer in two steps, so a job counts as missing only if the sweep before
        missed it as well, unless the broker has lost everything. Raise SeenitError.
        """
        try:
            return self._sweep()
        except UnavailableError as error:
            self._meter.count("unavailable", reason=error.type, at="sweep")
            raise

    def _sweep(self) -> int:
        self._queue.mend()
        room = self._backlog - self._queue.depth()
        with timed(self._meter, "sweep"):  # also of a full queue: alerts watch for sweeps
            going = self._going(room) if room > 0 else []
        if going:
            self._queue.enqueue(going)
            self._meter.count("requeued", len(going))
        return len(going)

    def _going(self, room: int) -> list[Handle]:
        at_once = self._held.emptied() or self._held.looks == 1
        idle, seen = self._idle(2 * self._backlog)
        self._meter.gauge("pending", seen)
        queued = self._held.queued() if idle else ()
        missing = [job for job in idle if job not in queued]
        going = _in_turn(job for job in missing if at_once or job in self._missing)[:room]
        self._missing = set(missing).difference(going)
        return going

    def _idle(self, most: int) -> tuple[list[Handle], int]:
        """Return idle jobs, a share of each tenant in turn, and how many pending ones were seen.

        Tenants with jobs missing in the last sweep come first, else those might not be seen twice.
        """
        found: list[Handle] = []
        seen = 0
        tenants = self._blobs.folders("pending/")
        random.shuffle(tenants)
        missed = {tenant for tenant, _ in self._missing}
        tenants.sort(key=lambda tenant: tenant not in missed)
        share = max(1, min(PART, most // max(1, len(tenants))))
        turns = deque((one, _parts(self._blobs.keys(f"pending/{one}/"), share)) for one in tenants)
        while turns and len(found) < most:
            tenant, parts = turns.popleft()
            part = next(parts, None)
            if part is not None:
                seen += len(part)
                found += self._held.idle([(tenant, key.rpartition("/")[2]) for key in part])
                turns.append((tenant, parts))
        return found, seen

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
            except SeenitError as error:
                logger.warning("sweep_put_off", extra={"reason": str(error)})
            if self._stop.wait(self._every):
                return


def _in_turn(jobs: Iterable[Handle]) -> list[Handle]:
    """Sort jobs so that tenants take turns, with as many each as make a batch."""
    before: Counter[str] = Counter()

    def turn(job: Handle) -> int:
        before[job[0]] += 1
        return (before[job[0]] - 1) // TOGETHER

    return sorted(jobs, key=turn)


def _parts(keys: Iterator[str], most: int) -> Iterator[list[str]]:
    while part := list(islice(keys, most)):
        yield part
