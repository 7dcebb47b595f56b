"""Broker: the queue, leases and progress that the URL selects, opened but not started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from celery import Celery
from redis import Redis

from adapters.broker import connections
from adapters.broker.celery_app import create_celery
from adapters.broker.job_queue import JobQueue
from adapters.broker.memory_progress import MemoryProgress
from adapters.broker.redis_leases import RedisLeases
from adapters.broker.redis_progress import RedisProgress
from adapters.broker.redis_settle_hint import RedisSettleHint
from adapters.broker.redis_sweep_state import RedisQueueState
from adapters.broker.waiting_jobs import MemoryWaitingJobs, RedisWaitingJobs
from adapters.settings import Settings
from core.circuit_breaker import CircuitBreaker
from core.errors import QueueUnavailableError
from core.event_log.settle_hint import SettleHint
from core.ingest.sweeper import EVERY_SECONDS, InFlightJobs, QueueState
from core.metrics import UNMETERED, Meter
from core.ports import Progress

SWEEP_SECONDS = 5.0
"""Seconds between two sweeps over Redis: listing a bucket costs money, and only jobs whose message
was lost are swept, once two sweeps miss them."""
FIRST_PAUSE = 1.0
"""Seconds for which calls fail at once after the first failure: nine in ten uploads of a busy API
then do not wait, and a restarted broker is used again within a second."""
LONGEST_PAUSE = 10.0
"""Limit of the doubling pause. Uploads may be left to the sweeper for that long after the broker is
back, which delays none, as it sweeps as often."""
LEADS = 3
"""Sweeps that may be missed before another beat takes over."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Opened broker without a connection yet: calls fail while it is down, opening does not."""

    queue: JobQueue
    """Queue of callers who wait, and of the sweeper."""
    worker_queue: JobQueue
    """The same queue with the patience of a worker."""
    hand: InFlightJobs | RedisLeases
    """Jobs in the hands of this process; leased ones over Redis."""
    held: QueueState
    """State of the queue that the sweeper reads."""
    progress: Progress
    redis: Redis | None
    """Client for calls that may block up to SEENIT_QUERY_SECONDS; None within one process."""
    sweep_seconds: float
    url: str
    closing: list[Callable[[], object]]

    settle_hint: SettleHint | None = None
    """Between workers; None within one process."""
    names: str = ""
    """Put after the names of queues: over memory:// all queues of a process share one space."""
    watched: bool = True

    @property
    def shared(self) -> bool:
        """Whether workers are separate processes."""
        return self.redis is not None

    def consumer(self, queue: str, *, controlled: bool = False) -> Celery:
        """Return an application that consumes one queue: Celery sets the queue per application.

        In each process one is `controlled`, and answers Celery's remote control for all.
        """
        events = self.watched and self.shared
        return create_celery(
            self.url, queue=queue + self.names, events=events, control=events and controlled
        )

    def close(self) -> None:
        """Close every connection of the broker."""
        for close in self.closing:
            close()


def open_broker(settings: Settings, meter: Meter = UNMETERED) -> Broker:
    """Open the broker at SEENIT_BROKER_URL, memory:// or redis://, without connecting to it."""
    if urlsplit(settings.broker_url).scheme == "memory":
        return _within(settings)
    return _over_redis(settings, meter)


def _within(settings: Settings) -> Broker:
    celery = create_celery(settings.broker_url)
    hand = InFlightJobs(listening=False)
    names = f"-{uuid4().hex[:8]}"
    queue = JobQueue(celery, MemoryWaitingJobs(hand), names=names)
    return Broker(
        queue=queue,
        worker_queue=queue,
        hand=hand,
        held=hand,
        progress=MemoryProgress(),
        redis=None,
        sweep_seconds=settings.sweep_seconds or EVERY_SECONDS,
        url=settings.broker_url,
        closing=[celery.close],
        names=names,
    )


def _over_redis(settings: Settings, meter: Meter) -> Broker:
    url = settings.broker_url
    hasty = create_celery(url, seconds=connections.DOOR_SECONDS)
    celery = create_celery(url)
    door = connections.door(url)
    patient = connections.patient(url, connections.WORKER_SECONDS + settings.query_seconds)
    breaker = CircuitBreaker(QueueUnavailableError, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    progress = RedisProgress(url, door, breaker, meter)
    sweep = settings.sweep_seconds or SWEEP_SECONDS
    waiting = RedisWaitingJobs(patient)
    return Broker(
        queue=JobQueue(hasty, RedisWaitingJobs(door), redis=door, breaker=breaker),
        worker_queue=JobQueue(celery, waiting, redis=patient),
        hand=RedisLeases(patient, settings.lease_seconds, meter),
        held=RedisQueueState(patient, LEADS * sweep, waiting),
        progress=progress,
        redis=patient,
        sweep_seconds=sweep,
        url=url,
        closing=[progress.close, hasty.close, celery.close, door.close, patient.close],
        settle_hint=RedisSettleHint(door),
        watched=settings.celery_events,
    )
