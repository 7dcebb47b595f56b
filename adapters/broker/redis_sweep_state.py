"""What the broker holds, as the sweeper wants to know it: queue, leases, pauses, and who sweeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import uuid4

from redis import Redis

from adapters.broker import connections, redis_keys
from adapters.broker.celery_messages import task_id
from adapters.broker.errors import broker_errors
from core.ingest.sweeper import Handle
from core.task_names import INGEST_QUEUE

PART = 500
"""Messages read at once, of 700 bytes each: Redis does nothing else meanwhile."""

_LEAD = """
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Have the lead, or keep it; it falls to another one when it runs out."""

_RESIGN = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisQueueState:
    """Implements `Held` on Redis."""

    looks = 2

    def __init__(self, redis: Redis, seconds: float) -> None:
        """`seconds` is how long it leads without a word: some sweeps."""
        self._redis = redis
        self._seconds = seconds
        self._name = uuid4().hex
        self._lead = redis.register_script(_LEAD)
        self._resign = redis.register_script(_RESIGN)

    def leads(self) -> bool:
        """Whether this process is the one to sweep; others stand by. QueueUnavailableError."""
        with broker_errors():
            return bool(
                self._lead(keys=[redis_keys.BEAT], args=[self._name, int(self._seconds * 1000)])
            )

    def resign(self) -> None:
        """Leave the lead to whoever asks next. Raise QueueUnavailableError."""
        with broker_errors():
            self._resign(keys=[redis_keys.BEAT], args=[self._name])

    def emptied(self) -> bool:
        """Whether the mark that was set at the first sweep is gone; sets it."""
        with broker_errors():
            return bool(self._redis.set(redis_keys.EPOCH, self._name, nx=True))

    def idle(self, jobs: Sequence[Handle]) -> list[Handle]:
        """Those without a lease or a pause that runs yet. Those that ran out are cleared away."""
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
        """Those in the list, read from its new end: what is added moves the rest on, none away."""
        found: set[Handle] = set()
        start = 0
        while True:
            with broker_errors():
                part = self._redis.lrange(INGEST_QUEUE, start, start + PART - 1)
            found.update(redis_keys.read(task_id(message)) for message in part)
            if len(part) < PART:
                return found
            start += PART
