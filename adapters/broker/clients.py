"""Connections to Redis: one kind for whoever must answer an upload, one for whoever can wait."""

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
_NEVER = Retry(NoBackoff(), 0)
"""redis-py's own default is three more times: the breaker and the sweeper try again instead."""


def door(url: str) -> Redis:
    """For publishing and counting while a caller waits."""
    return _client(url, DOOR_SECONDS, DOOR_SECONDS)


def patient(url: str, seconds: float = WORKER_SECONDS) -> Redis:
    """For workers, the beat, and blocking calls shorter than `seconds`."""
    return _client(url, CONNECT_SECONDS, seconds)


def _client(url: str, connect: float, answer: float) -> Redis:
    return Redis.from_url(
        url,
        socket_connect_timeout=connect,
        socket_timeout=answer,
        socket_keepalive=True,
        retry=_NEVER,
        decode_responses=True,
    )
