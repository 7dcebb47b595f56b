"""Job queue: waiting jobs by tenant, whose turns are Celery tasks, behind a circuit breaker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from celery import Celery
from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.celery_app import send
from adapters.broker.errors import broker_errors
from adapters.broker.waiting_jobs import MemoryWaitingJobs, Turn, WaitingJobs
from core.circuit_breaker import CircuitBreaker
from core.ingest.sweeper import Handle
from core.task_names import (
    ADMIN_TASK,
    COSTLY_QUEUE,
    DEFAULT_QUEUE,
    INGEST_QUEUE,
    SETTLE_TASK,
)

PROBE_SECONDS = 60
"""Lifetime of the key that readiness writes."""
AT_ONCE = 500
"""Jobs of one command, of 40 bytes each, so that a sweep of thousands does not delay callers."""


class JobQueue:
    """Implementation of the port `Queue`; a repeated job costs one read of a done mark."""

    def __init__(
        self,
        app: Celery,
        waiting: WaitingJobs,
        *,
        names: str = "",
        redis: Redis | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """Send by `app`; queues inside a process have `names` after theirs, and no `redis`."""
        self._app = app
        self._waiting = waiting
        self._names = names
        self._redis = redis
        self._breaker = breaker

    def enqueue(
        self, jobs: Sequence[Handle], *, queue: str = INGEST_QUEUE, front: bool = False
    ) -> None:
        """Add jobs of any tenants. Raise QueueUnavailableError; some may have been added."""
        ordered = sorted(jobs, key=lambda job: job[0])
        with self._guarded():
            for tenant, found in groupby(ordered, key=lambda job: job[0]):
                ids = [job_id for _, job_id in found]
                for start in range(0, len(ids), AT_ONCE):
                    part = ids[start : start + AT_ONCE]
                    if token := self._waiting.add(queue, tenant, part, front=front):
                        self._send(queue, tenant, token)

    def peek(self, queue: str, tenant: str, most: int) -> list[str]:
        """Return the first jobs of a tenant. Raise QueueUnavailableError."""
        return self._waiting.peek(queue, tenant, most)

    def take(self, queue: str, tenant: str, token: str, job_ids: Sequence[str]) -> list[str]:
        """Take jobs with the token of a turn, and send the tenant's next one to the queue's end.

        Raise QueueUnavailableError; jobs that were taken by then are swept.
        """
        turn: Turn = self._waiting.take(queue, tenant, token, job_ids)
        if turn.following:
            with broker_errors():
                self._send(queue, tenant, turn.following)
        return turn.jobs

    def pass_on(self, queue: str, tenant: str, token: str) -> None:
        """Send a turn that was not used to the queue again. Raise QueueUnavailableError."""
        with broker_errors():
            self._send(queue, tenant, token)

    def mend(self) -> None:
        """Send new tokens for those that were lost. Raise QueueUnavailableError."""
        with self._guarded():
            for queue in (INGEST_QUEUE, COSTLY_QUEUE):
                for tenant, token in self._waiting.lost(queue):
                    self._send(queue, tenant, token)

    def depth(self, tenant: str | None = None) -> int:
        """Return how many jobs wait, of a tenant; of all, with those in hand.

        Raise QueueUnavailableError.
        """
        with self._guarded():
            return self._waiting.depth(tenant)

    def clear(self) -> None:
        """Forget the jobs that wait in this process, as nothing consumes any more."""
        if isinstance(self._waiting, MemoryWaitingJobs):
            self._waiting.clear()

    def send_admin_task(self, task_id: str) -> None:
        """Send an administrative task to a worker. Raise QueueUnavailableError.

        The holder of a data folder looks for requests in the blob store instead.
        """
        if self._redis is not None:
            with self._guarded():
                send(self._app, DEFAULT_QUEUE, ADMIN_TASK, [task_id])

    def admin_depth(self) -> int:
        """Return how many administrative tasks wait in the queue. Raise QueueUnavailableError."""
        if self._redis is None:
            return 0
        with self._guarded():
            return self._redis.llen(DEFAULT_QUEUE)

    def check_writable(self) -> None:
        """Write a small key: a Redis that is full, MISCONF or read-only still answers reads.

        Raise QueueUnavailableError with the answer of Redis.
        """
        if self._redis is not None:
            with self._guarded():
                self._redis.set(redis_keys.PROBE, "", ex=PROBE_SECONDS)

    def _send(self, queue: str, tenant: str, token: str) -> None:
        send(self._app, queue + self._names, SETTLE_TASK, [tenant, token])

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._breaker is None:
            with broker_errors():
                yield
        else:
            with self._breaker.guard(), broker_errors():
                yield
