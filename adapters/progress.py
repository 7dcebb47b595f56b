"""News of jobs within one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from core.entries import JobStatus

Heard = Callable[[str, str, JobStatus], None]


class MemoryProgress:
    """Implements `Progress`: remembers jobs under way and calls whoever listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str], JobStatus] = {}
        self._listeners: dict[int, Heard] = {}
        self._next = 0

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Say that these jobs have come so far."""
        with self._lock:
            for job_id in job_ids:
                if status in ("done", "failed"):
                    self._under_way.pop((tenant, job_id), None)
                else:
                    self._under_way[tenant, job_id] = status
            listeners = list(self._listeners.values())
        for heard in listeners:
            for job_id in job_ids:
                heard(tenant, job_id, status)

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """The last thing heard of a job under way."""
        with self._lock:
            return self._under_way.get((tenant, job_id))

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Call `heard` from now on, in the publisher's thread; returns what ends it."""
        with self._lock:
            self._next += 1
            mine = self._next
            self._listeners[mine] = heard

        def stop() -> None:
            with self._lock:
                self._listeners.pop(mine, None)

        return stop
