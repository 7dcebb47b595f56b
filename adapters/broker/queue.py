"""Port Queue on Redis: a hundred jobs are one command, and a broker that is away costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery
from redis import Redis

from adapters.broker import names
from adapters.broker.breaker import Breaker
from adapters.broker.messages import Messages
from core.jobs import INGEST_QUEUE, SETTLE_TASK
from core.sweep import Handle

AT_ONCE = 500
"""Messages of one push, of 700 bytes each: a sweep's thousands do not hold up a caller's one."""


class RedisQueue:
    """Implements `Queue`; whoever sends a job twice costs a worker one look at its done mark."""

    def __init__(self, app: Celery, redis: Redis, breaker: Breaker) -> None:
        self._messages = Messages(app)
        self._redis = redis
        self._breaker = breaker

    def enqueue(self, jobs: Sequence[Handle]) -> None:
        """Send one message a job. Raise QueueUnavailableError; then some may have been sent."""
        for start in range(0, len(jobs), AT_ONCE):
            made = [
                self._messages.task(INGEST_QUEUE, SETTLE_TASK, job, names.written(job))
                for job in jobs[start : start + AT_ONCE]
            ]
            with self._breaker.guard():
                self._redis.lpush(INGEST_QUEUE, *made)

    def depth(self) -> int:
        """Jobs that wait in the queue or are in a worker's hands. Raise QueueUnavailableError."""
        with self._breaker.guard(), self._redis.pipeline(transaction=False) as pipe:
            pipe.llen(INGEST_QUEUE)
            pipe.zcard(names.LEASES)
            waiting, leased = pipe.execute()
        return int(waiting) + int(leased)
