"""Which jobs a worker has, and how often each was begun without an outcome, kept in Redis.

A lease is renewed while the worker lives and runs out by itself when it dies. All times are those
of Redis' own clock. Where Redis does not answer, work goes on: a lease saves work and decides
nothing, for the log does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.errors import broker_errors
from core.backoff import pause_after
from core.errors import QueueUnavailableError
from core.ingest.sweeper import Handle
from core.metrics import UNMETERED, Meter
from core.supervision import SupervisedThread

KEPT_SECONDS = 3600
"""Failures are forgotten so long after the last one: between two of a job lies a minute at most."""

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local found = {}
for n = 2, #ARGV do
  local held = redis.call('ZSCORE', KEYS[1], ARGV[n])
  if held and tonumber(held) > now then
    found[n - 1] = {0, 0, 0}
  else
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[n])
    found[n - 1] = {1, tonumber(redis.call('HGET', KEYS[2], ARGV[n]) or 0),
                    tonumber(redis.call('HGET', KEYS[3], ARGV[n]) or 0)}
  end
end
return found
"""
"""Lease what nobody has; of each job whether it is ours now, and its two counts."""

_RENEW = """
local time = redis.call('TIME')
local till = time[1] + time[2] / 1000000 + ARGV[1]
for n = 2, #ARGV do
  redis.call('ZADD', KEYS[1], till, ARGV[n])
end
"""

_PUT_OFF = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for n = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], now + ARGV[n], ARGV[n + 1])
end
"""

logger = logging.getLogger(__name__)


class DeliveryCount(NamedTuple):
    """How often a job was begun and left neither outcome nor error: its worker died."""

    together: int
    alone: int


NEVER = DeliveryCount(0, 0)


class RedisLeases:
    """The jobs that this process has; `renewing` keeps them."""

    def __init__(self, redis: Redis, seconds: float, meter: Meter = UNMETERED) -> None:
        """`seconds` is how long a worker that says nothing keeps its jobs."""
        self._redis = redis
        self._seconds = seconds
        # Held while Redis is asked: a renewal between two of these steps would lease what is being
        # asked for, or what has just ended.
        self._lock = threading.Lock()
        self._mine: set[Handle] = set()
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._put_off = redis.register_script(_PUT_OFF)
        self._stop = threading.Event()
        self._thread = SupervisedThread("leases", self._keep, self._stop, meter=meter)

    def take(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        """Those that are ours from now on; left out is what somebody has, this process included."""
        with self._lock:
            fresh = [job for job in dict.fromkeys(jobs) if job not in self._mine]
            taken = self._lease(fresh) if fresh else {}
            self._mine.update(taken)
        return taken

    @contextmanager
    def holding(self, name: Handle) -> Iterator[bool]:
        """Hold one lease, renewed while the block runs; False if it is held already.

        Raise QueueUnavailableError if Redis cannot say who holds it.
        """
        with self._lock:
            ours = name not in self._mine and bool(self._ask([name]))
            if ours:
                self._mine.add(name)
        try:
            yield ours
        finally:
            if ours:
                self.give_back([name])

    def begin(self, jobs: Sequence[Handle], *, alone: bool) -> None:
        """These are worked on from now on, together: a worker that dies leaves the count."""
        self._count(jobs, 1, alone=alone)

    def ended(self, jobs: Sequence[Handle]) -> None:
        """These need nothing more."""

        def forget(words: list[str]) -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in (redis_keys.LEASES, redis_keys.PAUSES):
                    pipe.zrem(key, *words)
                for key in (redis_keys.FAILURES, redis_keys.TOGETHER, redis_keys.ALONE):
                    pipe.hdel(key, *words)
                pipe.execute()

        self._let_go(jobs, forget)

    def failed(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:
        """These are still pending and may go again after a pause; nobody died of them.

        `alone` is as they were begun, None where they were not.
        """

        def put_off(words: list[str]) -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for word in words:
                    pipe.hincrby(redis_keys.FAILURES, word, 1)
                # of a job that another worker brought to its end nobody else takes the count away
                pipe.expire(redis_keys.FAILURES, KEPT_SECONDS)
                *failures, _ = pipe.execute()
            pauses: list[float | str] = []
            for word, times in zip(words, failures, strict=True):
                pauses += (pause_after(int(times)), word)
            self._put_off(keys=[redis_keys.PAUSES], args=pauses)
            self._redis.zrem(redis_keys.LEASES, *words)

        if alone is not None:
            self._count(jobs, -1, alone=alone)
        self._let_go(jobs, put_off)

    def give_back(self, jobs: Sequence[Handle]) -> None:
        """These were not begun: whoever receives them next may have them."""
        self._let_go(jobs, lambda words: self._redis.zrem(redis_keys.LEASES, *words))

    def __len__(self) -> int:
        """Jobs that this process has."""
        with self._lock:
            return len(self._mine)

    # --- staying alive --------------------------------------------------------------------------

    def start(self) -> None:
        """Renew leases in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop renewing; what is still in hand runs out."""
        self._stop.set()
        self._thread.join()

    def renew(self) -> None:
        """Once. Raise QueueUnavailableError."""
        with self._lock, broker_errors():
            if self._mine:
                words = map(redis_keys.written, self._mine)
                self._renew(keys=[redis_keys.LEASES], args=[self._seconds, *words])

    def _keep(self) -> None:
        while True:
            with _going_on("leases not renewed"):
                self.renew()
            if self._stop.wait(self._seconds / 3):
                return

    # --- steps ----------------------------------------------------------------------------------

    def _lease(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        try:
            return self._ask(jobs)
        except QueueUnavailableError as error:
            logger.warning("no leases: %s", error)
            return dict.fromkeys(jobs, NEVER)

    def _ask(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        """Lease the jobs that no worker holds. Raise QueueUnavailableError."""
        with broker_errors():
            found = self._take(
                keys=[redis_keys.LEASES, redis_keys.TOGETHER, redis_keys.ALONE],
                args=[self._seconds, *map(redis_keys.written, jobs)],
            )
        return {
            job: DeliveryCount(int(together), int(alone))
            for job, (ours, together, alone) in zip(jobs, found, strict=True)
            if ours
        }

    def _count(self, jobs: Sequence[Handle], by: int, *, alone: bool) -> None:
        key = redis_keys.ALONE if alone else redis_keys.TOGETHER
        with _going_on("not counted"), self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hincrby(key, redis_keys.written(job), by)
            pipe.execute()

    def _let_go(self, jobs: Iterable[Handle], told: Callable[[list[str]], object]) -> None:
        jobs = list(jobs)
        if not jobs:
            return
        with self._lock, _going_on("leases not given back"):
            self._mine.difference_update(jobs)
            told([redis_keys.written(job) for job in jobs])


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    try:
        with broker_errors():
            yield
    except QueueUnavailableError as error:
        logger.warning("%s: %s", what, error)
