"""Hint on which worker settles a tenant, over Redis; without an answer each goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.errors import broker_errors
from core.errors import QueueUnavailableError
from core.event_log.settle_hint import WAIT_SECONDS, LocalSettleHint

LEASE_SECONDS = 5.0
"""Time after which a worker that was killed no longer has the place."""
KEPT_SECONDS = 600
"""Time for which the last worker is remembered: it need not read what it appended itself."""
LOOK_SECONDS = 0.005
"""Time between two tries: about that of one append."""

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local held = redis.call('HMGET', KEYS[1], 'worker', 'until')
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2]) > now then return 0 end
redis.call('HSET', KEYS[1], 'worker', ARGV[1], 'until', now + ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if held[1] == ARGV[1] then return 2 end
return 1
"""
"""Takes the place; returns 2 if the same worker had it last, 0 if another one has it."""

_LEAVE = """
if redis.call('HGET', KEYS[1], 'worker') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'until', 0)
end
"""


class RedisSettleHint:
    """Implements `SettleHint` for the workers of a service, and the threads of each."""

    def __init__(self, redis: Redis) -> None:
        """Prepare; `redis` must answer soon or not at all, as settling waits for it."""
        self._redis = redis
        self._name = uuid4().hex
        self._local = LocalSettleHint()
        self._take = redis.register_script(_TAKE)
        self._leave = redis.register_script(_LEAVE)

    @contextmanager
    def holding(self, tenant: str) -> Iterator[bool]:
        """Wait for other threads and workers; go on without them after WAIT_SECONDS."""
        key = f"{redis_keys.SETTLER}{tenant}"
        with self._local.holding(tenant) as alone:
            before = self._enter(key)
            try:
                yield alone and before
            finally:
                with suppress(QueueUnavailableError), broker_errors():
                    self._leave(keys=[key], args=[self._name])

    def _enter(self, key: str) -> bool:
        """Return whether this process had the place last."""
        until = time.monotonic() + WAIT_SECONDS
        args: list[str | float] = [self._name, LEASE_SECONDS, KEPT_SECONDS]
        try:
            with broker_errors():
                while not (taken := int(self._take(keys=[key], args=args))):
                    if time.monotonic() > until:
                        return False
                    time.sleep(LOOK_SECONDS)
        except QueueUnavailableError:
            return False
        return taken > 1
