"""Progress of jobs within one process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from core.records import JobStatus

Listener = Callable[[str, str, JobStatus], None]
"""Callback with tenant, job id and status."""
ENDED = ("done", "failed")
"""Final states of a job."""

logger = logging.getLogger(__name__)


class ProgressListeners:
    """Thread-safe registry of the listeners of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Listener] = {}
        self._next = 0

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` from now on; return the function that removes it."""
        with self._lock:
            self._next += 1
            mine = self._next
            self._listeners[mine] = listener

        def stop() -> None:
            with self._lock:
                self._listeners.pop(mine, None)

        return stop

    def notify(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Call each listener once for each job."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            for job_id in job_ids:
                try:
                    listener(tenant, job_id, status)
                except RuntimeError:  # its event loop has ended meanwhile
                    logger.debug("listener_gone", extra={"tenant": tenant, "job_id": job_id})

    def __len__(self) -> int:
        with self._lock:
            return len(self._listeners)


class MemoryProgress:
    """Implementation of the port `Progress`: states of unfinished jobs, and listeners."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str], JobStatus] = {}
        self._listeners = ProgressListeners()

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Record that these jobs reached a state, and notify the listeners."""
        with self._lock:
            for job_id in job_ids:
                if status in ENDED:
                    self._under_way.pop((tenant, job_id), None)
                else:
                    self._under_way[tenant, job_id] = status
        self._listeners.notify(tenant, job_ids, status)

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """Return the last state of an unfinished job, None if there is none."""
        with self._lock:
            return self._under_way.get((tenant, job_id))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` in the publisher's thread; return the function that removes it."""
        return self._listeners.add(listener)
