"""Port Queue on Redis: a hundred jobs are one command, and a broker that is away costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery
from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.celery_messages import CeleryMessages
from adapters.broker.errors import broker_errors
from core.circuit_breaker import CircuitBreaker
from core.ingest.sweeper import Handle
from core.task_names import ADMIN_TASK, DEFAULT_QUEUE, INGEST_QUEUE, SETTLE_TASK

PROBE_SECONDS = 60
"""After which the key that readiness writes is gone."""
AT_ONCE = 500
"""Messages of one push, of 700 bytes each: a sweep's thousands do not hold up a caller's one."""

_DEPTH = """
local time = redis.call('TIME')
return redis.call('LLEN', KEYS[1]) + redis.call('ZCOUNT', KEYS[2], '(' .. time[1], '+inf')
"""
"""What waits and what is leased yet: of workers that were killed the leases run out, and it may be
that nobody clears them away."""


class RedisQueue:
    """Implements `Queue`; whoever sends a job twice costs a worker one look at its done mark."""

    def __init__(self, app: Celery, redis: Redis, breaker: CircuitBreaker) -> None:
        self._messages = CeleryMessages(app)
        self._redis = redis
        self._breaker = breaker
        self._depth = redis.register_script(_DEPTH)

    def enqueue(self, jobs: Sequence[Handle]) -> None:
        """Send one message a job. Raise QueueUnavailableError; then some may have been sent."""
        for start in range(0, len(jobs), AT_ONCE):
            made = [
                self._messages.task(INGEST_QUEUE, SETTLE_TASK, job, redis_keys.written(job))
                for job in jobs[start : start + AT_ONCE]
            ]
            with self._breaker.guard(), broker_errors():
                self._redis.lpush(INGEST_QUEUE, *made)

    def send_admin_task(self, task_id: str) -> None:
        """Send an administrative task to a worker. Raise QueueUnavailableError."""
        message = self._messages.task(DEFAULT_QUEUE, ADMIN_TASK, [task_id], task_id)
        with self._breaker.guard(), broker_errors():
            self._redis.lpush(DEFAULT_QUEUE, message)

    def admin_depth(self) -> int:
        """Return how many administrative tasks wait in the queue. Raise QueueUnavailableError."""
        with self._breaker.guard(), broker_errors():
            return self._redis.llen(DEFAULT_QUEUE)

    def depth(self) -> int:
        """Jobs that wait in the queue or are in a worker's hands. Raise QueueUnavailableError."""
        with self._breaker.guard(), broker_errors():
            return int(self._depth(keys=[INGEST_QUEUE, redis_keys.LEASES]))

    def check_writable(self) -> None:
        """Write a small key: a Redis that is full, MISCONF or read-only still answers reads.

        Raise QueueUnavailableError with what it says.
        """
        with self._breaker.guard(), broker_errors():
            self._redis.set(redis_keys.PROBE, "", ex=PROBE_SECONDS)
