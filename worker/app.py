"""A Celery worker in a thread of this process: pool `solo`, one batched queue."""

from __future__ import annotations

import threading

from celery import Celery
from celery.bootsteps import CLOSE
from celery.worker import WorkController

READY_SECONDS = 30.0
WAKE_TASK = "seenit.wake"
"""Does nothing: an idle consumer looks whether it is closed only every two seconds."""


class ThreadWorker:
    """Consumes the application's queue until it is closed."""

    def __init__(self, app: Celery) -> None:
        self._ready = threading.Event()
        self._app = app
        self._controller: WorkController | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Return once the consumer is ready."""
        self._app.task(name=WAKE_TASK, shared=False)(_wake)
        self._app.finalize()
        self._thread.start()
        if not self._ready.wait(READY_SECONDS):
            raise TimeoutError(f"the worker was not ready within {READY_SECONDS:.0f} s")

    def close(self) -> None:
        """Finish the batch in hand and stop; what waits stays pending.

        Only this worker's own consumer is closed: Celery's stop flag is one for the whole process.
        """
        controller = self._controller
        if controller is None or controller.consumer is None:
            return
        controller.consumer.blueprint.state = CLOSE
        self._app.send_task(WAKE_TASK)
        self._thread.join()

    def _run(self) -> None:
        self._app.set_current()  # of this thread alone: a plain task is traced in the current one
        controller = WorkController(
            app=self._app,
            pool="solo",
            concurrency=1,
            loglevel="WARNING",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            ready_callback=lambda _: self._ready.set(),
        )
        self._controller = controller
        controller.start()
        controller.stop()


def _wake() -> None:
    return
