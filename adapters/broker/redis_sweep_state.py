"""State of the broker for the sweeper: queued, leased and paused jobs, and the leading beat."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import uuid4

from redis import Redis

from adapters.broker import connections, redis_keys
from adapters.broker.errors import broker_errors
from adapters.broker.waiting_jobs import WaitingJobs
from core.ingest.sweeper import Handle

_LEAD = """
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Takes or keeps the lead; another beat can take it once it expires."""

_RESIGN = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisQueueState:
    """Implementation of the port `QueueState` on Redis."""

    looks = 2

    def __init__(self, redis: Redis, seconds: float, waiting: WaitingJobs) -> None:
        """Prepare a lead that expires `seconds` after its last renewal, some sweeps long."""
        self._waiting = waiting
        self._redis = redis
        self._seconds = seconds
        self._name = uuid4().hex
        self._lead = redis.register_script(_LEAD)
        self._resign = redis.register_script(_RESIGN)

    def leads(self) -> bool:
        """Take or renew the lead; return whether this process has it. QueueUnavailableError."""
        with broker_errors():
            return bool(
                self._lead(keys=[redis_keys.BEAT], args=[self._name, int(self._seconds * 1000)])
            )

    def resign(self) -> None:
        """Give up the lead, so that another beat can take it. Raise QueueUnavailableError."""
        with broker_errors():
            self._resign(keys=[redis_keys.BEAT], args=[self._name])

    def emptied(self) -> bool:
        """Return whether the mark of the first sweep is gone, and set it."""
        with broker_errors():
            return bool(self._redis.set(redis_keys.EPOCH, self._name, nx=True))

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Return the jobs neither leased nor paused, and remove expired leases and pauses."""
        if not jobs:
            return []
        words = [redis_keys.written(job) for job in jobs]
        with broker_errors():
            now = connections.now(self._redis)
            with self._redis.pipeline(transaction=False) as pipe:
                for key in (redis_keys.LEASES, redis_keys.PAUSES):
                    pipe.zremrangebyscore(key, "-inf", now)
                    pipe.zmscore(key, words)
                _, leases, _, pauses = pipe.execute()
        return [
            job
            for job, lease, pause in zip(jobs, leases, pauses, strict=True)
            if lease is None and pause is None
        ]

    def queued(self) -> Collection[Handle]:
        """Return the waiting jobs of all tenants."""
        return self._waiting.waiting()
