"""A Celery worker in a thread of this process; several of them share its models."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import Celery

from core.errors import EngineUnavailableError
from core.supervision import describe
from worker.consumer import controller

READY_SECONDS = 30.0
LOOK_SECONDS = 0.1
"""How often a consumer that is not ready yet is polled."""

logger = logging.getLogger(__name__)


class ThreadWorker:
    """Consumes the one queue of an application until it is closed."""

    def __init__(
        self,
        app: Celery,
        *,
        name: str = "worker",
        threads: int = 1,
        node: str | None = None,
    ) -> None:
        """Prepare a consumer with `threads` for its tasks; `node` is its name to Celery's tools.

        Once closed it ends the tasks in hand; messages that are left go back to the queue.
        """
        self._app = app
        self._threads = threads
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._node = node
        self._controller: Any = None
        self._name = name
        self._thread = threading.Thread(target=self._attempt, name=name, daemon=True)
        self._failure: BaseException | None = None

    def start(self, seconds: float | None = READY_SECONDS) -> None:
        """Consume in a thread; return once the consumer is ready, at once where `seconds` is None.

        Raise EngineUnavailableError where it is not ready in time, or ended before.
        """
        self._thread.start()
        if seconds is None:
            return
        deadline = time.monotonic() + seconds
        while not self._ready.wait(LOOK_SECONDS):
            self.check()
            if time.monotonic() > deadline:
                raise EngineUnavailableError(
                    f"the consumer {self._name} was not ready within {seconds:.0f} s"
                )

    def check(self) -> None:
        """Raise EngineUnavailableError where its thread has ended by itself."""
        if not self._thread.is_alive():
            said = "see the log" if self._failure is None else describe(self._failure)
            raise EngineUnavailableError(f"the consumer {self._name} ended by itself: {said}")

    @property
    def ready(self) -> bool:
        """Return whether it was connected once."""
        return self._ready.is_set()

    def stop(self) -> None:
        """Receive no more; `close` waits for what is in hand."""
        self._closing.set()

    def close(self) -> None:
        """Finish the tasks in hand and stop; waiting jobs stay pending."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _attempt(self) -> None:
        try:
            self.run()
        except BaseException as error:  # `check` raises it in the thread that watches this one
            self._failure = error
            logger.exception("consumer_failed", extra={"queue": self._name})

    def run(self) -> None:
        """Consume in the calling thread, until `stop`."""
        self._app.finalize()
        self._app.set_current()  # of this thread alone: a plain task is traced in the current one
        try:
            self._controller = controller(
                self._app,
                threads=self._threads,
                node=self._node,
                closing=self._closing,
                leaving=self._leave,
                ready=self._ready.set,
            )
            self._controller.start()
        finally:
            self._leave()  # again where it did: a consumer that was never connected has not
            if self._controller is not None:
                self._controller.stop()

    def _leave(self) -> None:
        executor = getattr(getattr(self._controller, "pool", None), "executor", None)
        if executor is not None:
            executor.shutdown(wait=True)
