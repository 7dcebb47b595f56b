"""Errands that came over Redis: one at a time, by one worker each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from celery import Celery

from adapters.broker.admin_tasks import AdminTask, AdminTaskReport
from adapters.broker.redis_admin_tasks import RedisAdminTasks
from adapters.wiring import Services
from core.errors import QueueUnavailableError
from core.supervision import SupervisedThread
from core.task_names import ERRAND_TASK
from worker.admin_tasks import attempt

PATIENCE_SECONDS = 60.0
"""How long it tries to say what came of it; what nobody could be told is done again."""

logger = logging.getLogger(__name__)


class AdminRunner:
    """Carries out what commands ask for, and says how far it has come."""

    def __init__(self, services: Services, errands: RedisAdminTasks, stop: threading.Event) -> None:
        self._services = services
        self._errands = errands
        self._stop = stop

    def register(self, app: Celery) -> None:
        """Give the application its task."""
        app.task(name=ERRAND_TASK, shared=False)(self.do)

    def do(self, errand_id: str) -> None:
        """Carry it out, unless it is done or somebody is at it."""
        errand = self._errands.find(errand_id)
        if errand is None:
            return
        with self._errands.doing(errand) as renew:
            if renew is None:
                return
            ended = self._do(errand, renew)
        if not ended:
            self._errands.send(errand)

    def _do(self, errand: AdminTask, renew: Callable[[], None]) -> bool:
        """Whether it came to an end, well or not."""
        over = threading.Event()

        def say(report: AdminTaskReport) -> None:
            try:
                self._errands.report(errand, report)
            except QueueUnavailableError as error:  # whoever watches waits; the work goes on
                logger.debug("errand %s: %s", errand.errand_id, error)

        def keep() -> None:
            while not over.wait(self._errands.seconds / 3):
                try:
                    renew()
                except QueueUnavailableError as error:
                    logger.warning("errand %s: %s", errand.errand_id, error)

        keeping = SupervisedThread("errand", keep, over, meter=self._services.meter)
        keeping.start()
        try:
            came = attempt(self._services, errand, say, self._stop)
        finally:
            over.set()
            keeping.join()
        if came is None:
            return False
        self._end(errand, came)
        return True

    def _end(self, errand: AdminTask, report: AdminTaskReport) -> None:
        """Say what came of it, to a broker that may be away for a while."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._errands.report(errand, report)
            except QueueUnavailableError as error:
                if self._stop.wait(1.0) or time.monotonic() > until:
                    logger.warning("errand %s is done again: %s", errand.errand_id, error)
                    return
            else:
                return
