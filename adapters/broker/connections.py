"""Connections to Redis: for whoever must answer an upload, for whoever can wait, and to ask."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

DOOR_SECONDS = 0.15
"""To connect, and for each answer: an upload waits 200 ms for a broker at the most. Redis answers
within 1 ms on the same network; who is slower than this is not there."""
CONNECT_SECONDS = 2.0
WORKER_SECONDS = 5.0
"""For each answer to a worker, to whom nobody listens."""
ASKING_CONNECT_SECONDS = 0.5
"""On a network of one's own a connection is there in a millisecond, or it will not come."""
ASKING_SECONDS = 1.5
"""A connection that says nothing for so long is half-open."""
ASKING_CONNECTIONS = 256
"""More than threads that ask at once: each wait for an answer holds one."""
_NEVER = Retry(NoBackoff(), 0)
"""redis-py's own default is three more times: the breaker and the sweeper try again instead."""


def door(url: str) -> Redis:
    """For publishing and counting while a caller waits."""
    return _client(url, DOOR_SECONDS, DOOR_SECONDS)


def patient(url: str, seconds: float = WORKER_SECONDS) -> Redis:
    """For workers, the beat, and blocking calls shorter than `seconds`."""
    return _client(url, CONNECT_SECONDS, seconds)


def asking(url: str) -> Redis:
    """For questions and answers, from any number of threads."""
    return _client(url, ASKING_CONNECT_SECONDS, ASKING_SECONDS, ASKING_CONNECTIONS)


def now(redis: Redis) -> float:
    """Seconds since the epoch by Redis: the one clock that all machines share."""
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
