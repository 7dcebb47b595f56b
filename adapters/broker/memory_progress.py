"""News of jobs within one process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from core.records import JobStatus

Heard = Callable[[str, str, JobStatus], None]


ENDED = ("done", "failed")
"""What no job goes on from."""

logger = logging.getLogger(__name__)


class ProgressListeners:
    """Whoever in this process wants to hear of jobs; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[int, Heard] = {}
        self._next = 0

    def add(self, heard: Heard) -> Callable[[], None]:
        """Have it called from now on; returns what ends it."""
        with self._lock:
            self._next += 1
            mine = self._next
            self._heard[mine] = heard

        def stop() -> None:
            with self._lock:
                self._heard.pop(mine, None)

        return stop

    def tell(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Call each of them with each job."""
        with self._lock:
            those = list(self._heard.values())
        for heard in those:
            for job_id in job_ids:
                try:
                    heard(tenant, job_id, status)
                except RuntimeError:  # whose event loop has ended meanwhile
                    logger.debug("a listener is gone")

    def __len__(self) -> int:
        """How many there are."""
        with self._lock:
            return len(self._heard)


class MemoryProgress:
    """Implements `Progress`: remembers jobs under way and calls whoever listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str], JobStatus] = {}
        self._listeners = ProgressListeners()

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Say that these jobs have come so far."""
        with self._lock:
            for job_id in job_ids:
                if status in ENDED:
                    self._under_way.pop((tenant, job_id), None)
                else:
                    self._under_way[tenant, job_id] = status
        self._listeners.tell(tenant, job_ids, status)

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """The last thing heard of a job under way."""
        with self._lock:
            return self._under_way.get((tenant, job_id))

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Call `heard` from now on, in the publisher's thread; returns what ends it."""
        return self._listeners.add(heard)
