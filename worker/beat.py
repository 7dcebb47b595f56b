"""Periodic work of a service of many processes: sweeps and chores, done by the leading beat."""

from __future__ import annotations

import logging
import threading
from functools import partial

from adapters.broker.redis_sweep_state import RedisQueueState
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.ingest.orphans import clear
from core.supervision import SupervisedThread
from worker.admin_tasks import resend
from worker.periodic import PeriodicRunner, PeriodicTask, upkeep

CLEAR_SECONDS = 300.0
"""Between two looks for pictures that a killed process left."""

logger = logging.getLogger(__name__)


class Beat:
    """A beat: sweeps and does the chores if it leads; other beats stand by.

    Chores have a thread of their own: one that takes minutes must not hold up the sweeps.
    """

    def __init__(self, services: Services) -> None:
        """Raise SettingsError for a queue inside a process."""
        held = services.broker.held
        if not isinstance(held, RedisQueueState):
            raise SettingsError("a beat of its own needs SEENIT_BROKER_URL=redis://…")
        self._held = held
        self._sweeper = services.sweeper
        self._every = services.broker.sweep_seconds
        self._sweeps = PeriodicRunner(
            [
                PeriodicTask("sweep", 0.0, services.sweeper.sweep),
                PeriodicTask("admin tasks", self._every, partial(resend, services, held)),
            ]
        )
        left = PeriodicTask("pictures asked about", CLEAR_SECONDS, lambda: clear(services.blobs))
        self._chores = PeriodicRunner([left, *upkeep(services)])
        self._stop = threading.Event()
        self._leading = threading.Event()
        self._threads = [
            SupervisedThread("beat", self._run, self._stop, meter=services.meter),
            SupervisedThread("chores", self._keep_up, self._stop, meter=services.meter),
        ]

    def start(self) -> None:
        """Start the threads of the beat."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish the sweep under way and give up the lead."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        try:
            self._held.resign()
        except SeenitError as error:
            logger.warning("lead_not_resigned", extra={"reason": str(error)})

    def round(self) -> None:
        """Sweep if this beat leads. Raise QueueUnavailableError if Redis cannot say who does."""
        if self._held.leads():
            self._leading.set()
            self._sweeps.go(self._stop)
        else:
            self._leading.clear()
            self._sweeper.stand_by()

    def _run(self) -> None:
        while True:
            try:
                self.round()
            except SeenitError as error:
                self._leading.clear()
                logger.warning("sweep_skipped", extra={"reason": str(error)})
            if self._stop.wait(self._every):
                return

    def _keep_up(self) -> None:
        while not self._stop.wait(self._every):
            if self._leading.is_set():
                self._chores.go(self._stop)
