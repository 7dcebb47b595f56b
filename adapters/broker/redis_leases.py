"""Leases on jobs in Redis, and counts of how often each job was begun without an outcome.

A lease is renewed while the worker lives and expires after it dies. All times are by Redis' clock.
If Redis does not answer, the worker continues: leases only save duplicate work, as the log decides.
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
"""Seconds until failures are forgotten; a job's failures are a minute apart at most."""

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
"""Leases the free jobs; returns for each job whether this process has it now, and two counts."""

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
    """Counts of how often a job's worker died: begun, with neither outcome nor error."""

    together: int
    alone: int


NEVER = DeliveryCount(0, 0)


class RedisLeases:
    """Leases of this process; a thread renews them after `start`."""

    def __init__(self, redis: Redis, seconds: float, meter: Meter = UNMETERED) -> None:
        """Prepare leases that expire `seconds` after their last renewal."""
        self._redis = redis
        self._seconds = seconds
        # Held during calls of Redis: a renewal between two of these steps would lease a job that
        # is being taken, or has just ended.
        self._lock = threading.Lock()
        self._mine: set[Handle] = set()
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._put_off = redis.register_script(_PUT_OFF)
        self._stop = threading.Event()
        self._thread = SupervisedThread("leases", self._keep, self._stop, meter=meter)

    def take(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        """Lease the jobs that are free, and return their counts; leased jobs are left out."""
        with self._lock:
            fresh = [job for job in dict.fromkeys(jobs) if job not in self._mine]
            taken = self._lease(fresh) if fresh else {}
            self._mine.update(taken)
        return taken

    @contextmanager
    def holding(self, name: Handle) -> Iterator[bool]:
        """Hold one lease, renewed while the block runs; False if it is held already.

        Raise QueueUnavailableError if Redis does not answer.
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
        """Count these jobs as begun; the count stays if the worker dies."""
        self._count(jobs, 1, alone=alone)

    def ended(self, jobs: Sequence[Handle]) -> None:
        """Release jobs that are done, with all their counts."""

        def forget(words: list[str]) -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in (redis_keys.LEASES, redis_keys.PAUSES):
                    pipe.zrem(key, *words)
                for key in (redis_keys.FAILURES, redis_keys.TOGETHER, redis_keys.ALONE):
                    pipe.hdel(key, *words)
                pipe.execute()

        self._let_go(jobs, forget)

    def failed(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:
        """Release pending jobs, to be retried after a pause, without counting a dead worker.

        `alone` is the value given to `begin`, None for jobs that were not begun.
        """

        def put_off(words: list[str]) -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for word in words:
                    pipe.hincrby(redis_keys.FAILURES, word, 1)
                # another worker may finish a job, which leaves the count of this one behind
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

    def give_back(self, jobs: Sequence[Handle], *, alone: bool | None = None) -> None:
        """Release jobs, so that any worker can take them; `alone` as for `failed`."""
        if alone is not None:
            self._count(jobs, -1, alone=alone)
        self._let_go(jobs, lambda words: self._redis.zrem(redis_keys.LEASES, *words))

    def __len__(self) -> int:
        with self._lock:
            return len(self._mine)

    # --- staying alive --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread that renews leases."""
        self._thread.start()

    def close(self) -> None:
        """Stop renewing; leases that are still held expire."""
        self._stop.set()
        self._thread.join()

    def renew(self) -> None:
        """Renew all leases once. Raise QueueUnavailableError."""
        with self._lock, broker_errors():
            if self._mine:
                words = map(redis_keys.written, self._mine)
                self._renew(keys=[redis_keys.LEASES], args=[self._seconds, *words])

    def _keep(self) -> None:
        while True:
            with _logged("leases_not_renewed"):
                self.renew()
            if self._stop.wait(self._seconds / 3):
                return

    # --- steps ----------------------------------------------------------------------------------

    def _lease(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        try:
            return self._ask(jobs)
        except QueueUnavailableError as error:
            logger.warning("leases_unavailable", extra={"reason": str(error)})
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
        with _logged("deliveries_not_counted"), self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hincrby(key, redis_keys.written(job), by)
            pipe.execute()

    def _let_go(self, jobs: Iterable[Handle], release: Callable[[list[str]], object]) -> None:
        jobs = list(jobs)
        if not jobs:
            return
        with self._lock, _logged("leases_not_released"):
            self._mine.difference_update(jobs)
            release([redis_keys.written(job) for job in jobs])


@contextmanager
def _logged(event: str) -> Iterator[None]:
    """Log errors of the broker as `event` and continue after the block."""
    try:
        with broker_errors():
            yield
    except QueueUnavailableError as error:
        logger.warning(event, extra={"reason": str(error)})
