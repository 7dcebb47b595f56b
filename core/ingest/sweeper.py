"""Finding again what no queue holds: jobs lie in `pending/` until the log has them."""

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
"""A job left by another process is seen within a second."""
BACKLOG = 10_000
"""Jobs that a queue holds before the sweeper adds no more."""
PART = 1_000
"""Keys of one listing of a bucket, and jobs asked after at once."""
TOGETHER = 64
"""Jobs of one tenant that go before another's: a full batch, which is of one tenant."""

Handle = tuple[str, str]

logger = logging.getLogger(__name__)


class QueueState(Protocol):
    """What is known of jobs beside that they are pending. Raises QueueUnavailableError."""

    looks: int
    """In how many sweeps in a row a job must be missing before it is enqueued again."""

    def emptied(self) -> bool:
        """Whether everything was lost since the last sweep: then nothing is waited for."""

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Those that no worker has and that are not put off, in order."""

    def queued(self) -> Collection[Handle]:
        """Those that wait in the queue."""


class InFlightJobs:
    """Which jobs this process has enqueued and not yet ended, and when a failed one may go again.

    Implements `QueueState` for a queue inside the process.
    """

    looks = 1

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, listening: bool = True
    ) -> None:
        """`listening`: whether anybody consumes here already."""
        self._clock = clock
        self._lock = threading.Lock()
        self._listening = listening
        self._taken: set[Handle] = set()
        self._waits: dict[Handle, tuple[int, float]] = {}

    def listen(self) -> None:
        """From now on somebody consumes here; until then nothing is taken, or it would pile up."""
        with self._lock:
            self._listening = True

    def deafen(self) -> None:
        """Consume here no more: what was in hand is free again, what is put off stays put off."""
        with self._lock:
            self._listening = False
            self._taken.clear()

    def take(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Those that were not in hand, now in hand."""
        with self._lock:
            fresh = self._free(jobs) if self._listening else []
            self._taken.update(fresh)
        return fresh

    def ended(self, jobs: Sequence[Handle]) -> None:
        """These need nothing more."""
        with self._lock:
            for job in jobs:
                self._taken.discard(job)
                self._waits.pop(job, None)

    def failed(self, jobs: Sequence[Handle]) -> None:
        """These are still pending and may go again after a pause."""
        with self._lock:
            for job in jobs:
                self._taken.discard(job)
                attempts = self._waits.get(job, (0, 0.0))[0] + 1
                self._waits[job] = (attempts, self._clock() + pause_after(attempts))

    def __len__(self) -> int:
        """Jobs enqueued or being settled."""
        with self._lock:
            return len(self._taken)

    def emptied(self) -> bool:
        """It goes only with the process."""
        return False

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Those neither in hand nor put off, in order."""
        with self._lock:
            return self._free(jobs)

    def queued(self) -> Collection[Handle]:
        """What waits is in hand as well."""
        return ()

    def _free(self, jobs: Sequence[Handle]) -> list[Handle]:
        now = self._clock()
        return [
            job
            for job in dict.fromkeys(jobs)
            if job not in self._taken and self._waits.get(job, (0, 0.0))[1] <= now
        ]


class Sweeper:
    """Lists `pending/` and enqueues what nobody holds, until it is stopped."""

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
        """`held` knows what the queue holds; without it the queue leaves out what it has."""
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
        """Sweep at once, then every so often, in a thread; again after `close`, too."""
        self._stop.clear()
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why its thread does not sweep; None where it does."""
        return self._thread.failure

    def close(self) -> None:
        """Stop and wait for a sweep under way."""
        self._stop.set()
        self._thread.join()

    def stand_by(self) -> None:
        """Another process sweeps: what was missed here is old, and the figures are its to tell."""
        self._missing.clear()
        self._meter.gauge("pending", 0)

    def sweep(self) -> int:
        """Enqueue what is pending and held by nobody; how many that were.

        Never more than the queue is short of its backlog. A broker takes a message out and notes
        down who has it in two steps, so a job counts as missing only where it was missed in the
        sweep before as well, unless the broker has lost everything. Raise SeenitError.
        """
        try:
            return self._sweep()
        except UnavailableError as error:
            self._meter.count("unavailable", reason=error.type, at="sweep")
            raise

    def _sweep(self) -> int:
        room = self._backlog - self._queue.depth()
        with timed(self._meter, "sweep"):  # a full queue too: that somebody sweeps is watched
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
        """Of every tenant its share in turn, so that none keeps the others waiting.

        But first of those of whom jobs were missed once already, else they might never be twice.
        Beside them how many pending ones were seen on the way.
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
                logger.warning("sweep put off: %s", error)
            if self._stop.wait(self._every):
                return


def _in_turn(jobs: Iterable[Handle]) -> list[Handle]:
    """Some of each tenant in turn: as many as make a batch."""
    before: Counter[str] = Counter()

    def turn(job: Handle) -> int:
        before[job[0]] += 1
        return (before[job[0]] - 1) // TOGETHER

    return sorted(jobs, key=turn)


def _parts(keys: Iterator[str], most: int) -> Iterator[list[str]]:
    while part := list(islice(keys, most)):
        yield part
