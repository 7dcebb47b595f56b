"""A worker of many: consumes the queues over Redis that it is told, with one set of models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from adapters.broker.desk import RedisErrands
from adapters.broker.leases import SharedHand
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.jobs import DEFAULT_QUEUE, INGEST_QUEUE, QUERY_QUEUE, QUEUES
from worker.answering import register_answers
from worker.app import ThreadWorker
from worker.batching import gather
from worker.desk import Desk
from worker.flights import Flights
from worker.tasks import Settling

FLIGHTS = 3
"""Batches at once on a GPU: one is decoded and one settled while one is on the device. On a CPU
all three would want the same cores."""


class Worker:
    """Every queue has a consuming thread; models and decoders are shared by all of them."""

    def __init__(self, services: Services, queues: Sequence[str] = QUEUES) -> None:
        """Raise SettingsError for a queue that there is none of, and for one inside a process."""
        unknown = set(queues).difference(QUEUES)
        if unknown or not queues:
            raise SettingsError(f"queues are {', '.join(QUEUES)}, not {', '.join(sorted(unknown))}")
        hand, errands = services.broker.hand, services.errands
        if not isinstance(hand, SharedHand) or not isinstance(errands, RedisErrands):
            raise SettingsError("a worker of its own needs SEENIT_BROKER_URL=redis://…")
        self._services = services
        self._queues = tuple(queues)
        self._hand = hand
        self._errands = errands
        self._stop = threading.Event()
        self._workers: list[ThreadWorker] = []

    def start(self) -> None:
        """Load the models, then consume, as soon as the broker answers."""
        services = self._services
        services.models.load()
        services.ledger.catch_up()
        self._hand.start()
        made: dict[str, Callable[[], ThreadWorker]] = {
            INGEST_QUEUE: self._ingest,
            QUERY_QUEUE: self._answer,
            DEFAULT_QUEUE: self._errand,
        }
        self._workers = [made[queue]() for queue in self._queues]
        for worker in self._workers:
            worker.start(None)

    @property
    def ready(self) -> bool:
        """Whether every queue is consumed."""
        return bool(self._workers) and all(worker.ready for worker in self._workers)

    @property
    def alive(self) -> bool:
        """Whether every queue is still consumed, or tried to be."""
        return all(worker.alive for worker in self._workers)

    def close(self) -> None:
        """Finish what is in hand, give the rest back to the queues; leases are renewed no more."""
        self._stop.set()
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.close()
        self._hand.close()

    def _ingest(self) -> ThreadWorker:
        services, batch = self._services, self._services.settings.batch
        count = services.settings.flights or _flights(services)
        settling = Settling(services.ingest)
        flights = Flights(
            self._hand,
            settling,
            settling.set_aside,
            batch=batch,
            flights=count,
            meter=services.meter,
        )
        app = services.broker.consumer(INGEST_QUEUE, batch * count)
        gather(app, flights, batch=batch)
        flights.start()
        return ThreadWorker(app, name=INGEST_QUEUE, leaving=flights.close)

    def _answer(self) -> ThreadWorker:
        services = self._services
        app = services.broker.consumer(QUERY_QUEUE, 1)
        register_answers(app, services)
        return ThreadWorker(app, name=QUERY_QUEUE, threads=services.settings.checks_at_once)

    def _errand(self) -> ThreadWorker:
        services = self._services
        app = services.broker.consumer(DEFAULT_QUEUE, 1)
        Desk(services, self._errands, self._stop).register(app)
        return ThreadWorker(app, name=DEFAULT_QUEUE)


def _flights(services: Services) -> int:
    """By the device that the visual model runs on."""
    try:
        running: dict[str, str] = getattr(services.visual, "running", {})
    except SeenitError:  # there is no model
        return 1
    return FLIGHTS if running.get("device") == "cuda" else 1
