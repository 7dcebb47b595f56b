"""A worker over Redis: consumes the named queues with one set of models."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from celery import Celery
from celery.utils.nodenames import default_nodename, host_format

from adapters.broker.redis_leases import RedisLeases
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.supervision import SupervisedThread
from core.task_names import COSTLY_QUEUE, DEFAULT_QUEUE, INGEST_QUEUE, QUERY_QUEUE, QUEUES
from worker.admin_tasks import AdminConsumer
from worker.query_tasks import register_answers
from worker.settle_task import SettleTask
from worker.thread_worker import ThreadWorker
from worker.turn_task import TurnTask

FLIGHTS = 3
"""Batches at once on a GPU: one is decoded and one settled while one is on the device. On a CPU
all three would want the same cores."""

logger = logging.getLogger(__name__)


class Worker:
    """A supervised consumer for each queue; all share the models and decoders."""

    def __init__(
        self,
        services: Services,
        queues: Sequence[str] = QUEUES,
        *,
        name: str | None = None,
        shutdown: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare; `name` is its name to Celery's tools, by default celery@ and the host's.

        `shutdown` is called once `celery control shutdown` names it. Raise SettingsError for an
        unknown queue, and for a broker inside a process.
        """
        unknown = set(queues).difference(QUEUES)
        if unknown or not queues:
            raise SettingsError(
                f"unknown queues {', '.join(sorted(unknown)) or '(none named)'}: "
                f"name some of {', '.join(QUEUES)}"
            )
        hand = services.broker.hand
        if not isinstance(hand, RedisLeases):
            raise SettingsError("a worker of its own needs SEENIT_BROKER_URL=redis://…")
        self._services = services
        both = INGEST_QUEUE in queues
        self._queues = (*queues, COSTLY_QUEUE) if both else tuple(queues)
        self._node = host_format(default_nodename(name))
        self._shutdown = shutdown
        self._hand = hand
        settling = SettleTask(services.ingest)
        self._turns = TurnTask(
            services.broker.worker_queue,
            hand,
            settling,
            settling.set_aside,
            batch=services.settings.batch,
        )
        self._stop = threading.Event()
        self._workers: dict[str, ThreadWorker] = {}
        self._beginning = self._supervised("worker", self._begin)
        self._consumers = [
            self._supervised(queue, partial(self._consume, queue)) for queue in self._queues
        ]

    def start(self) -> None:
        """Start the threads and return at once; failures are logged and retried."""
        self._beginning.start()

    @property
    def ready(self) -> bool:
        """Return whether every queue is consumed."""
        workers = list(self._workers.values())
        return len(workers) == len(self._queues) and all(worker.ready for worker in workers)

    def close(self) -> None:
        """Finish the jobs in hand, give the rest back to the queues, stop renewing leases."""
        self._stop.set()
        self._turns.closing.set()
        self._beginning.join()
        for worker in list(self._workers.values()):
            worker.stop()
        for consumer in self._consumers:
            consumer.join()
        self._hand.close()

    def _supervised(self, name: str, run: Callable[[], object]) -> SupervisedThread:
        return SupervisedThread(name, run, self._stop, meter=self._services.meter)

    def _begin(self) -> None:
        """Load the models, wait for the store, then consume."""
        self._services.models.load()
        self._services.projector.catch_up()
        self._hand.start()
        for consumer in self._consumers:
            consumer.start()
        self._stop.wait()

    def _consume(self, queue: str) -> None:
        """Consume a queue with a new consumer: one that failed cannot be used again."""
        controlled = queue == self._queues[0]
        app = self._services.broker.consumer(queue, controlled=controlled)
        threads = self._register(app, queue)
        worker = ThreadWorker(app, name=queue, threads=threads, node=self._node)
        self._workers[queue] = worker
        if self._stop.is_set():  # `close` may have looked before this one was there
            worker.stop()
        worker.run()
        if controlled and not self._stop.is_set():
            logger.warning("remote_shutdown", extra={"queue": queue})
            self._shutdown()
            self._stop.wait()

    def _register(self, app: Celery, queue: str) -> int:
        """Give an application the tasks of a queue; return how many run at once."""
        services = self._services
        if queue == QUERY_QUEUE:
            register_answers(app, services)
            return services.settings.checks_at_once
        if queue == DEFAULT_QUEUE:
            AdminConsumer(services, self._hand, self._stop).register(app)
            return 1
        self._turns.register(app, queue)
        if queue == COSTLY_QUEUE:
            return 1
        return services.settings.flights or _flights(services)


def _flights(services: Services) -> int:
    """Return the number of batches at once, by the device of the visual model."""
    try:
        running: dict[str, str] = getattr(services.visual, "running", {})
    except SeenitError:  # there is no model
        return 1
    return FLIGHTS if running.get("device") == "cuda" else 1
