"""Job queue on Redis: one command for hundreds of jobs, behind a circuit breaker."""

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
"""Lifetime of the key that readiness writes."""
AT_ONCE = 500
"""Messages of one push, of 700 bytes each, so that a sweep of thousands does not delay callers."""

_DEPTH = """
local time = redis.call('TIME')
return redis.call('LLEN', KEYS[1]) + redis.call('ZCOUNT', KEYS[2], '(' .. time[1], '+inf')
"""
"""Returns waiting jobs and unexpired leases: those of killed workers expire, and may not have been
removed yet."""


class RedisQueue:
    """Implementation of the port `Queue`; a repeated message costs one read of a done mark."""

    def __init__(self, app: Celery, redis: Redis, breaker: CircuitBreaker) -> None:
        self._messages = CeleryMessages(app)
        self._redis = redis
        self._breaker = breaker
        self._depth = redis.register_script(_DEPTH)

    def enqueue(self, jobs: Sequence[Handle]) -> None:
        """Send one message a job. Raise QueueUnavailableError; some may have been sent."""
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
        """Return how many jobs are queued or leased. Raise QueueUnavailableError."""
        with self._breaker.guard(), broker_errors():
            return int(self._depth(keys=[INGEST_QUEUE, redis_keys.LEASES]))

    def check_writable(self) -> None:
        """Write a small key: a Redis that is full, MISCONF or read-only still answers reads.

        Raise QueueUnavailableError with the answer of Redis.
        """
        with self._breaker.guard(), broker_errors():
            self._redis.set(redis_keys.PROBE, "", ex=PROBE_SECONDS)
