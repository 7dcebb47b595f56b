"""Waiting jobs by tenant, and the token of each tenant's next turn; a Celery task carries it.

A tenant with waiting jobs has one token on its way through Celery's queue. The worker that gets it
takes jobs, and sends the next token to the queue's end before it works: the queue is the order of
turns. A token that was replaced is void, so that one sent twice, or found again, gives no second
turn.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.errors import broker_errors
from core.ingest.sweeper import Handle, InFlightJobs
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE

_QUEUES = (INGEST_QUEUE, COSTLY_QUEUE)

_ADD = """
local time = redis.call('TIME')
local at = (tonumber(time[1]) + tonumber(time[2]) / 1000000) * tonumber(ARGV[2])
for n = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'NX', at + n / 1000000, ARGV[n])
end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return false end
local token = redis.call('INCR', KEYS[3])
redis.call('HSET', KEYS[2], ARGV[1], token)
return token
"""
"""Adds jobs in order, before all others where the sign is -1; returns a token if none is there."""

_TAKE = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return {} end
local found = {}
for n = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[n]) == 1 then found[#found + 1] = ARGV[n] end
end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[4], ':taken') or 0) then
  redis.call('HSET', KEYS[4], ':taken', ARGV[2])
end
local token = 0
if redis.call('ZCARD', KEYS[1]) > 0 then
  token = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[2], ARGV[1], token)
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return {token, found}
"""
"""Takes these jobs off a tenant's list, and replaces the token or drops it with the last job."""

_LOST = """
local taken = tonumber(redis.call('HGET', KEYS[3], ':taken') or 0)
local empty = redis.call('LLEN', KEYS[4]) == 0
local lost = {}
local late = {}
local turns = redis.call('HGETALL', KEYS[1])
for n = 1, #turns, 2 do
  local token = turns[n + 1]
  if empty or tonumber(token) < taken then
    if redis.call('HGET', KEYS[3], turns[n]) == token then
      local fresh = redis.call('INCR', KEYS[2])
      redis.call('HSET', KEYS[1], turns[n], fresh)
      lost[#lost + 1] = {turns[n], fresh}
    else
      late[turns[n]] = token
    end
  end
end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], ':taken', taken)
for tenant, token in pairs(late) do redis.call('HSET', KEYS[3], tenant, token) end
return lost
"""
"""Replaces the tokens that were overtaken by a later one, or miss in an empty queue, in two calls
one after another: in between, one may be in the hands of a worker that is about to use it."""

_DEPTH = """
local found = 0
for n = 1, #ARGV do
  for _, tenant in ipairs(redis.call('HKEYS', KEYS[n])) do
    found = found + redis.call('ZCARD', ARGV[n] .. tenant)
  end
end
local time = redis.call('TIME')
return found + redis.call('ZCOUNT', KEYS[#KEYS], '(' .. time[1], '+inf')
"""
"""Returns waiting jobs and unexpired leases: those of killed workers expire, and may not have been
removed yet."""


class Turn(NamedTuple):
    """Jobs that a turn has taken, and the token of the tenant's next one, empty without."""

    jobs: list[str]
    following: str = ""


class WaitingJobs(Protocol):
    """Lists of waiting jobs. Methods raise QueueUnavailableError."""

    def add(self, queue: str, tenant: str, job_ids: Sequence[str], *, front: bool) -> str:
        """Add jobs that are not there; return a token to send, empty if one is under way."""

    def peek(self, queue: str, tenant: str, most: int) -> list[str]:
        """Return the first jobs of a tenant."""

    def take(self, queue: str, tenant: str, token: str, job_ids: Sequence[str]) -> Turn:
        """Take these jobs, those that are still there; none with a token that is void."""

    def lost(self, queue: str) -> list[tuple[str, str]]:
        """Return tenants with jobs whose token was lost, each with a new one to send."""

    def waiting(self) -> Collection[Handle]:
        """Return all waiting jobs."""

    def depth(self, tenant: str | None = None) -> int:
        """Return how many jobs wait, of a tenant; of all, with those in hand."""


class MemoryWaitingJobs:
    """Implements `WaitingJobs` in one process; jobs that are in hand are not added."""

    def __init__(self, hand: InFlightJobs) -> None:
        self._hand = hand
        self._lock = threading.Lock()
        self._lists: dict[tuple[str, str], OrderedDict[str, None]] = defaultdict(OrderedDict)
        self._tokens: dict[tuple[str, str], str] = {}
        self._count = 0

    def add(self, queue: str, tenant: str, job_ids: Sequence[str], *, front: bool) -> str:
        """Add the jobs that are not in hand; they are from now on."""
        fresh = self._hand.take([(tenant, job_id) for job_id in job_ids])
        if not fresh:
            return ""
        with self._lock:
            waiting = self._lists[queue, tenant]
            for _, job_id in reversed(fresh) if front else fresh:
                waiting[job_id] = None
                if front:
                    waiting.move_to_end(job_id, last=False)
            return "" if (queue, tenant) in self._tokens else self._token(queue, tenant)

    def peek(self, queue: str, tenant: str, most: int) -> list[str]:
        """Return the first jobs of a tenant."""
        with self._lock:
            return list(islice(self._lists.get((queue, tenant), ()), most))

    def take(self, queue: str, tenant: str, token: str, job_ids: Sequence[str]) -> Turn:
        """Take these jobs with the token of the tenant's turn."""
        with self._lock:
            if self._tokens.get((queue, tenant)) != token:
                return Turn([])
            waiting = self._lists[queue, tenant]
            taken = [job_id for job_id in job_ids if waiting.pop(job_id, job_id) is None]
            if waiting:
                return Turn(taken, self._token(queue, tenant))
            del self._lists[queue, tenant], self._tokens[queue, tenant]
            return Turn(taken)

    def lost(self, queue: str) -> list[tuple[str, str]]:  # noqa: ARG002 - the port's
        """Return none: the queue is lost only with the process."""
        return []

    def waiting(self) -> Collection[Handle]:
        """Return nothing: waiting jobs are in hand as well."""
        return ()

    def depth(self, tenant: str | None = None) -> int:
        """Return how many jobs wait, of a tenant; of all, with those in hand."""
        if tenant is None:
            return len(self._hand)
        with self._lock:
            return sum(len(self._lists.get((queue, tenant), ())) for queue in _QUEUES)

    def clear(self) -> None:
        """Forget all jobs, as nothing consumes any more; their tokens are void."""
        with self._lock:
            self._lists.clear()
            self._tokens.clear()

    def _token(self, queue: str, tenant: str) -> str:
        self._count += 1
        self._tokens[queue, tenant] = token = str(self._count)
        return token


class RedisWaitingJobs:
    """Implements `WaitingJobs` over Redis: each step is one script, for any number of workers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._take = redis.register_script(_TAKE)
        self._lost = redis.register_script(_LOST)
        self._depth = redis.register_script(_DEPTH)

    def add(self, queue: str, tenant: str, job_ids: Sequence[str], *, front: bool) -> str:
        """Add the jobs in one command, however many they are."""
        with broker_errors():
            token = self._add(
                keys=[_waiting(queue, tenant), _turns(queue), redis_keys.TOKENS],
                args=[tenant, -1 if front else 1, *job_ids],
            )
        return "" if token is None else str(token)

    def peek(self, queue: str, tenant: str, most: int) -> list[str]:
        """Return the first jobs of a tenant."""
        with broker_errors():
            return [str(one) for one in self._redis.zrange(_waiting(queue, tenant), 0, most - 1)]

    def take(self, queue: str, tenant: str, token: str, job_ids: Sequence[str]) -> Turn:
        """Take these jobs with the token of the tenant's turn."""
        keys = [_waiting(queue, tenant), _turns(queue), redis_keys.TOKENS, _state(queue)]
        with broker_errors():
            found = self._take(keys=keys, args=[tenant, token, *job_ids])
        if not found:
            return Turn([])
        following, jobs = found
        return Turn(list(jobs), str(following or ""))

    def lost(self, queue: str) -> list[tuple[str, str]]:
        """Replace the tokens that two calls miss, for instance with a worker that was killed."""
        with broker_errors():
            found = self._lost(keys=[_turns(queue), redis_keys.TOKENS, _state(queue), queue])
        return [(tenant, str(token)) for tenant, token in found]

    def waiting(self) -> Collection[Handle]:
        """Return all waiting jobs; no other client is served while a tenant's are read."""
        found: set[Handle] = set()
        with broker_errors():
            for queue in _QUEUES:
                for tenant in map(str, self._redis.hkeys(_turns(queue))):
                    jobs = self._redis.zrange(_waiting(queue, tenant), 0, -1)
                    found.update((tenant, str(job_id)) for job_id in jobs)
        return found

    def depth(self, tenant: str | None = None) -> int:
        """Return how many jobs wait, of a tenant; of all, with those that are leased."""
        with broker_errors():
            if tenant is not None:
                return sum(self._redis.zcard(_waiting(queue, tenant)) for queue in _QUEUES)
            keys = [*map(_turns, _QUEUES), redis_keys.LEASES]
            return int(self._depth(keys=keys, args=[_waiting(queue, "") for queue in _QUEUES]))


def _turns(queue: str) -> str:
    return f"{redis_keys.TURNS}{queue}"


def _waiting(queue: str, tenant: str) -> str:
    return f"{redis_keys.WAITING}{queue}:{tenant}"


def _state(queue: str) -> str:
    return f"{redis_keys.OVERTAKEN}{queue}"
