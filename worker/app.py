"""A Celery worker in a thread of this process; several of them share its models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery
from celery.worker import WorkController

from worker.consuming import Patient, Threads

READY_SECONDS = 30.0


class ThreadWorker:
    """Consumes the one queue of an application until it is closed."""

    def __init__(
        self,
        app: Celery,
        *,
        name: str = "worker",
        threads: int | None = None,
        leaving: Callable[[], None] | None = None,
    ) -> None:
        """`threads` run tasks side by side; without, the consuming thread runs them itself.

        `leaving` is called when it was told to close and receives no more: what it leaves
        unacknowledged goes back to the queue.
        """
        self._app = app
        self._threads = threads
        self._leaving = leaving
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._controller: Any = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, seconds: float | None = READY_SECONDS) -> None:
        """Return once the consumer is ready; TimeoutError after `seconds`, None: do not wait."""
        self._app.finalize()
        self._thread.start()
        if seconds is not None and not self._ready.wait(seconds):
            raise TimeoutError(f"the worker was not ready within {seconds:.0f} s")

    @property
    def ready(self) -> bool:
        """Whether it was connected once."""
        return self._ready.is_set()

    @property
    def alive(self) -> bool:
        """Whether it still consumes, or tries to."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Receive no more; `close` waits for what is in hand."""
        self._closing.set()

    def close(self) -> None:
        """Finish what is in hand and stop; what waits stays pending."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        self._app.set_current()  # of this thread alone: a plain task is traced in the current one
        controller = WorkController(
            app=self._app,
            pool="solo" if self._threads is None else Threads,
            concurrency=self._threads or 1,
            loglevel="WARNING",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            use_eventloop=False,
            consumer_cls=partial(Patient, closing=self._closing, leaving=self._leave),
            ready_callback=lambda _: self._ready.set(),
        )
        self._controller = controller
        controller.start()
        self._leave()  # again where it did: a consumer that was never connected has not
        controller.stop()

    def _leave(self) -> None:
        if self._threads is not None:
            self._controller.pool.executor.shutdown(wait=True)
        if self._leaving is not None:
            self._leaving()
