"""The engine of a data directory: consumes, sweeps, and writes the index; one a directory."""

from __future__ import annotations

import logging
import threading
from typing import Any

from adapters.errands import Errand, Report
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.sweep import Hand
from worker.app import ThreadWorker
from worker.batching import register
from worker.chores import carry_out
from worker.rounds import Rounds, upkeep
from worker.tasks import Settling

LOOK_SECONDS = 0.5
"""How often the holder looks for errands, and another process for the lock."""

logger = logging.getLogger(__name__)


class _StoppingError(Exception):
    """The engine is to end: what an errand has done stays, the rest is for the next holder."""


class Engine:
    """Runs once it holds the directory's lock; until then it stands by, and takes over."""

    def __init__(self, services: Services, *, ahead: bool = True) -> None:
        """`ahead`: load the models while standing by, so that taking over takes no time."""
        self._services = services
        self._ahead = ahead
        self._stop = threading.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._worker: ThreadWorker | None = None

    @property
    def running(self) -> bool:
        """Whether this process is the holder, its model loaded and its worker consuming."""
        return self._running.is_set()

    def start(self) -> None:
        """Begin in a thread; returns at once."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether the engine runs within so many seconds."""
        return self._running.wait(seconds)

    def close(self) -> None:
        """Finish the batch in hand, let go of the lock; what waits stays pending."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        services = self._services
        if self._ahead:
            services.models.load()
        while not services.lock.take():
            if self._stop.wait(LOOK_SECONDS):
                return
        try:
            services.models.load()
            self._hold()
        finally:
            services.lock.release()

    def _hold(self) -> None:
        services = self._services
        for tenant in services.log.tenants():
            try:
                services.ledger.advance(tenant)
            except SeenitError as error:  # that tenant stands still; the others go on
                logger.error("tenant %s: %s", tenant, error)  # noqa: TRY400  plain words do
        hand = services.broker.hand
        if not isinstance(hand, Hand):
            raise SettingsError("over Redis `seenit worker` consumes and `seenit beat` sweeps")
        register(
            services.celery,
            Settling(services.ingest),
            batch=services.settings.batch,
            ended=hand.ended,
            failed=hand.failed,
        )
        worker = ThreadWorker(services.celery)
        worker.start()
        services.sweeper.start()
        self._running.set()
        rounds = Rounds(upkeep(services))
        while not self._stop.wait(LOOK_SECONDS):
            self._carry_out()
            rounds.go(self._stop)
        services.sweeper.close()
        worker.close()

    def _carry_out(self) -> None:
        """Do what commands of other processes have asked for."""
        errands = self._services.errands
        for errand in errands.waiting():
            done = total = 0

            def told(now: int, of: int, errand: Errand = errand) -> None:
                nonlocal done, total
                if self._stop.is_set():
                    raise _StoppingError
                done, total = now, of
                errands.report(errand, Report(done=done, total=total))

            error = None
            came: dict[str, Any] = {}
            try:
                came = carry_out(self._services, errand.kind, errand.arguments, told)
            except _StoppingError:  # the request stays, for the next holder
                return
            except SeenitError as refused:
                error = refused.detail
            except Exception:  # the engine's edge: one errand must not end it
                logger.exception("errand %s failed", errand.kind)
                error = "it failed: see the log"
            errands.report(
                errand, Report(done=done, total=total, told=came, ended=True, error=error)
            )
