"""Everything that the broker's URL decides, opened at once and started by nobody yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from celery import Celery
from redis import Redis

from adapters.broker import connections
from adapters.broker.celery_app import CeleryQueue, create_celery
from adapters.broker.memory_progress import MemoryProgress
from adapters.broker.redis_leases import RedisLeases
from adapters.broker.redis_progress import RedisProgress
from adapters.broker.redis_queue import RedisQueue
from adapters.broker.redis_sweep_state import RedisQueueState
from adapters.settings import Settings
from core.circuit_breaker import CircuitBreaker
from core.errors import QueueUnavailableError
from core.ingest.sweeper import EVERY_SECONDS, InFlightJobs, QueueState
from core.metrics import UNMETERED, Meter
from core.ports import Progress

SWEEP_SECONDS = 5.0
"""Between two sweeps over Redis: a listing of a bucket costs money, and a job is found missing in
two of them. A job is swept only where its message was lost."""
FIRST_PAUSE = 1.0
"""Seconds for which calls fail at once after the first failure: nine in ten uploads of a busy API
then wait for nothing, and a broker that was restarted is found again within a second."""
LONGEST_PAUSE = 10.0
"""Seconds it has doubled to: so long uploads may be left to the sweeper after the broker is back,
which costs nobody anything, as it sweeps as often."""
LEADS = 3
"""Sweeps that may fail to happen before another beat takes over."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Opened, connected to nothing yet: a broker that is down fails calls, not this."""

    celery: Celery
    """For sending, and over memory:// for receiving."""
    queue: CeleryQueue | RedisQueue
    hand: InFlightJobs | RedisLeases
    """What this process has; over Redis it is a worker's."""
    held: QueueState
    """What the sweeper asks."""
    progress: Progress
    redis: Redis | None
    """For calls that may wait, blocking ones up to SEENIT_QUERY_SECONDS; None inside a process."""
    sweep_seconds: float
    url: str
    closing: list[Callable[[], object]]

    @property
    def shared(self) -> bool:
        """Whether workers are other processes."""
        return self.redis is not None

    def consumer(self, queue: str, prefetch: int) -> Celery:
        """An application of its own that consumes one queue: what it consumes is its setting."""
        return create_celery(self.url, batch=prefetch, queue=queue)

    def close(self) -> None:
        """Let go of every connection."""
        for close in self.closing:
            close()


def open_broker(settings: Settings, meter: Meter = UNMETERED) -> Broker:
    """By SEENIT_BROKER_URL: memory:// or redis://; nothing is asked of a server yet."""
    if urlsplit(settings.broker_url).scheme == "memory":
        return _within(settings)
    return _over_redis(settings, meter)


def _within(settings: Settings) -> Broker:
    celery = create_celery(settings.broker_url, batch=settings.batch)
    hand = InFlightJobs(listening=False)
    return Broker(
        celery=celery,
        queue=CeleryQueue(celery, hand),
        hand=hand,
        held=hand,
        progress=MemoryProgress(),
        redis=None,
        sweep_seconds=settings.sweep_seconds or EVERY_SECONDS,
        url=settings.broker_url,
        closing=[celery.close],
    )


def _over_redis(settings: Settings, meter: Meter) -> Broker:
    url = settings.broker_url
    celery = create_celery(url, batch=settings.batch)
    door = connections.door(url)
    patient = connections.patient(url, connections.WORKER_SECONDS + settings.query_seconds)
    breaker = CircuitBreaker(QueueUnavailableError, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    progress = RedisProgress(url, door, breaker, meter)
    sweep = settings.sweep_seconds or SWEEP_SECONDS
    return Broker(
        celery=celery,
        queue=RedisQueue(celery, door, breaker),
        hand=RedisLeases(patient, settings.lease_seconds, meter),
        held=RedisQueueState(patient, LEADS * sweep),
        progress=progress,
        redis=patient,
        sweep_seconds=sweep,
        url=url,
        closing=[progress.close, celery.close, door.close, patient.close],
    )
