"""Finding again what no queue holds: jobs lie in `pending/` until the log has them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from core.errors import SeenitError
from core.ports import Blobs, Queue

EVERY_SECONDS = 0.5
"""A job left by another process is seen within a second."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0

Handle = tuple[str, str]

logger = logging.getLogger(__name__)


class Hand:
    """Which jobs this process has enqueued and not yet ended, and when a failed one may go again.

    A pause doubles with each attempt that left no outcome, with jitter, up to a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: set[Handle] = set()
        self._waits: dict[Handle, tuple[int, float]] = {}

    def take(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Those that were not in hand, now in hand."""
        now = self._clock()
        with self._lock:
            fresh = [
                job
                for job in dict.fromkeys(jobs)
                if job not in self._taken and self._waits.get(job, (0, 0.0))[1] <= now
            ]
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
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempts - 1))
                again = self._clock() + pause * random.uniform(0.5, 1.0)  # noqa: S311  jitter
                self._waits[job] = (attempts, again)

    def attempts(self, job: Handle) -> int:
        """How often it was tried without an outcome."""
        with self._lock:
            return self._waits.get(job, (0, 0.0))[0]

    def __len__(self) -> int:
        """Jobs enqueued or being settled."""
        with self._lock:
            return len(self._taken)


class Sweeper:
    """Lists `pending/` and enqueues what is not in hand, until it is stopped."""

    def __init__(self, blobs: Blobs, queue: Queue, every: float = EVERY_SECONDS) -> None:
        self._blobs = blobs
        self._queue = queue
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep at once, then every so often, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop and wait for a sweep under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def sweep(self) -> None:
        """Enqueue everything pending; what the queue has already it leaves out."""
        for tenant in self._blobs.folders("pending/"):
            jobs = [
                (tenant, key.rpartition("/")[2]) for key in self._blobs.keys(f"pending/{tenant}/")
            ]
            if jobs:
                self._queue.enqueue(jobs)

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
            except SeenitError as error:
                logger.warning("sweep put off: %s", error)
            if self._stop.wait(self._every):
                return
