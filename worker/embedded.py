"""The engine of a data folder: consumes, sweeps and writes the index; one for each folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from adapters.reindex import repair
from adapters.wiring import Services
from core.errors import SettingsError
from core.ingest.sweeper import InFlightJobs
from core.supervision import SupervisedThread
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE
from worker.admin_tasks import AdminTaskRunner
from worker.periodic import PeriodicRunner, PeriodicTask, upkeep
from worker.settle_task import SettleTask
from worker.thread_worker import ThreadWorker
from worker.turn_task import LocalLeases, TurnTask

LOOK_SECONDS = 0.5
"""How often the holder checks for due work, and another process for the lock."""

REPAIR_SECONDS = 2.0
"""Between two looks whether the index was found damaged; each failed repair replays the log."""

logger = logging.getLogger(__name__)


class EmbeddedEngine:
    """An engine that runs while it holds the folder's lock, and stands by until then.

    Whatever ends it, a lock that cannot be opened or a consumer that failed, is logged, shown by
    readiness, and tried again: the thread is supervised.
    """

    def __init__(
        self,
        services: Services,
        *,
        ahead: bool = True,
        took: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; `ahead` loads the models while standing by, so that taking over is quick.

        `took` is called in the engine's thread each time it has taken the directory's lock.
        """
        self._services = services
        self._ahead = ahead
        self._took = took
        self._stop = threading.Event()
        self._running = threading.Event()
        self._admin = AdminTaskRunner(services, self._stop)
        self._status = services.engine
        self._thread = SupervisedThread(
            "engine", self._run, self._stop, meter=services.meter, failed=self._status.failed
        )

    @property
    def running(self) -> bool:
        """Return whether this process holds the folder, with its model loaded, and consumes."""
        return self._running.is_set()

    def start(self) -> None:
        """Start the engine's thread and return at once."""
        self._status.starting()
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Return whether the engine runs within so many seconds."""
        return self._running.wait(seconds)

    def close(self) -> None:
        """Finish the batch in hand and release the lock; waiting jobs stay pending."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        services = self._services
        if self._ahead:
            services.models.load()
        while not services.lock.take():
            self._status.standby()
            if self._stop.wait(LOOK_SECONDS):
                return
        if self._status.status.state == "standby":
            self._status.starting()
        try:
            self._took()
            services.models.load()
            self._hold()
        finally:
            self._running.clear()
            services.lock.release()

    def _hold(self) -> None:
        services = self._services
        hand = services.broker.hand
        if not isinstance(hand, InFlightJobs):
            raise SettingsError("over Redis `seenit worker` consumes and `seenit beat` sweeps")
        self._repair()
        services.projector.catch_up()
        settling, queue = SettleTask(services.ingest), services.broker.worker_queue
        turns = TurnTask(
            queue,
            LocalLeases(hand),
            settling,
            settling.set_aside,
            batch=services.settings.batch,
        )
        workers = []
        for name in (INGEST_QUEUE, COSTLY_QUEUE):
            app = services.broker.consumer(name)
            turns.register(app, name)
            flights = services.settings.flights or 1
            threads = flights if name == INGEST_QUEUE else 1
            workers.append(ThreadWorker(app, name=name, threads=threads))
        try:
            for worker in workers:
                worker.start()
            hand.listen()
            services.sweeper.start()
            self._status.running(lambda: services.sweeper.failure)
            self._running.set()
            every = services.settings.sweep_seconds or 0.0
            admin = PeriodicTask("admin tasks", every, self._admin.run_waiting)
            sound = PeriodicTask("index repair", REPAIR_SECONDS, self._repair)
            rounds = PeriodicRunner([sound, admin, *upkeep(services)])
            while not self._stop.wait(LOOK_SECONDS):
                for worker in workers:
                    worker.check()
                rounds.go(self._stop)
        finally:
            services.sweeper.close()
            turns.closing.set()
            for worker in workers:
                worker.close()
            hand.deafen()
            queue.clear()

    def _repair(self) -> None:
        repair(self._services, self._stop)
