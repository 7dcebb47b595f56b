"""Connections to Redis with the timeouts of uploads, of workers and the beat, and of RPC."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

DOOR_SECONDS = 0.15
"""Timeout to connect and for each answer: an upload waits 200 ms for a broker at most. Redis
answers within 1 ms on the same network; a slower one counts as unavailable."""
CONNECT_SECONDS = 2.0
WORKER_SECONDS = 5.0
"""Timeout of each answer to a worker, for which no caller waits."""
ASKING_CONNECT_SECONDS = 0.5
"""Timeout to connect: within one network a connection takes a millisecond, or fails."""
ASKING_SECONDS = 1.5
"""Silence after which a connection counts as half-open."""
ASKING_CONNECTIONS = 256
"""More than the threads that call at once: each wait for a reply holds one."""
_NEVER = Retry(NoBackoff(), 0)
"""No retries (redis-py makes three): the circuit breaker and the sweeper retry instead."""


def door(url: str) -> Redis:
    """Return a client for publishing and counting while a caller waits."""
    return _client(url, DOOR_SECONDS, DOOR_SECONDS)


def patient(url: str, seconds: float = WORKER_SECONDS) -> Redis:
    """Return a client for workers, the beat, and blocking calls shorter than `seconds`."""
    return _client(url, CONNECT_SECONDS, seconds)


def asking(url: str) -> Redis:
    """Return a client for RPC, usable from any number of threads."""
    return _client(url, ASKING_CONNECT_SECONDS, ASKING_SECONDS, ASKING_CONNECTIONS)


def now(redis: Redis) -> float:
    """Return seconds since the epoch by Redis, the one clock that all machines share."""
    seconds, micros = redis.time()
    return seconds + micros / 1e6


def _client(url: str, connect: float, answer: float, connections: int | None = None) -> Redis:
    return Redis.from_url(
        url,
        socket_connect_timeout=connect,
        socket_timeout=answer,
        socket_keepalive=True,
        max_connections=connections,
        retry=_NEVER,
        decode_responses=True,
    )
