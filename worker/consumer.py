"""All that Seenit uses of Celery's and kombu's inside: a consumer that shares its process.

One process runs several. Celery over Redis wants an event loop, of which kombu has one a process;
its other loop looks at anything but messages only every two seconds. This one looks every hundredth
of a second, stops by itself when its own event is set (Celery's stop flag is one for the whole
process), and lets what is in hand end before the connection is closed, which gives the rest back to
the queue at once.
tests/unit/worker/test_consumer.py names each part, and fails once a version moves.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from celery import Celery
from celery.bootsteps import CLOSE, RUN
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController
from celery.worker.consumer import Consumer

from adapters.broker.celery_app import TICK_SECONDS

LONGEST_PAUSE = 1
"""Seconds between two tries to reach a broker that is away: a restarted one is found at once."""

logger = logging.getLogger(__name__)


class ThreadPool(TaskPool):  # type: ignore[misc]  # untyped, all of Celery
    """A Celery thread pool whose threads have the pool's application as the current one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - Celery's own
        super().__init__(*arguments, **options)
        self.executor = ThreadPoolExecutor(
            max_workers=self.limit, thread_name_prefix="task", initializer=self.app.set_current
        )


class GracefulConsumer(Consumer):  # type: ignore[misc]  # likewise
    """A consumer that runs until `closing` is set, then calls `leaving` and disconnects."""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - Celery's own
        closing: threading.Event,
        leaving: Callable[[], None],
        **options: Any,  # noqa: ANN401 - likewise
    ) -> None:
        super().__init__(*arguments, **options)
        self.closing = closing
        self.leaving = leaving
        self._away = False
        self._unsent: Exception | None = None

    def loop(
        self,
        _: object,
        connection: Any,  # noqa: ANN401 - kombu's
        tasks: Any,  # noqa: ANN401 - likewise
        blueprint: Any,  # noqa: ANN401 - likewise
        __: object,
        qos: Any,  # noqa: ANN401 - likewise
        *___: object,
    ) -> None:
        """Consume until `closing` is set, or the connection fails: Celery restarts it then."""
        tasks.on_message = self.create_task_handler()
        tasks.consume()
        self.on_ready()
        while blueprint.state == RUN and self.connection and not self.closing.is_set():
            self.perform_pending_operations()
            if self._unsent is not None:
                error, self._unsent = self._unsent, None
                raise error
            if qos.prev != qos.value:
                qos.update()
            with suppress(TimeoutError):
                connection.drain_events(timeout=TICK_SECONDS)
        blueprint.state = CLOSE
        self.leaving()
        self.perform_pending_operations()

    def call_soon(self, p: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's
        """Acknowledge a message in the consumer's thread, from any thread.

        Celery logs an error and goes on; the message then counts as fetched for good, and a
        consumer that fetches one at a time fetches no more. Here the connection is replaced.
        """

        def acknowledge(log: Any, _: object, **how: Any) -> None:  # noqa: ANN401 - likewise
            try:
                p(log, (), **how)
            except Exception as error:  # noqa: BLE001  raised by `loop`
                if p.__self__.channel is not self.task_consumer.channel:
                    return  # of a connection that is gone: it is redelivered, and dropped
                self._unsent = error

        return super().call_soon(acknowledge, *args, **options)

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - kombu's
        """Connect, however long it takes. Raise SystemExit if `closing` is set meanwhile."""
        made = conn.ensure_connection(
            self._waits,
            None,
            interval_start=0.1,
            interval_step=0.3,
            interval_max=LONGEST_PAUSE,
            callback=self._look,
        )
        if self._away:
            logger.warning("broker_back")
        self._away = False
        self.first_connection_attempt = False
        return made

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Drop the connection; batches under way go on, other received jobs are swept again."""
        logger.warning("broker_connection_lost", extra={"reason": str(exc)})
        with suppress(Exception):  # it is broken already: whatever it says of that is no news
            for channel in self.connection.transport.channels:
                channel.qos._on_collect.cancel()  # noqa: SLF001  else it is restored at exit
            self.connection.collect()
        if not isinstance(exc, self.connection_errors):
            self.closing.wait(LONGEST_PAUSE)  # it is there and refuses, and would at once again
        self._look()  # else a stop is not seen before the broker takes writes again

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the outage once, in `_waits`."""
        self._waits(exc, 0.0)

    def _waits(self, error: Exception, _: float) -> None:
        if not self._away:
            logger.warning("broker_unavailable", extra={"reason": str(error)})
        self._away = True

    def _look(self) -> None:
        if self.closing.is_set():
            raise WorkerShutdown(0)


def controller(
    app: Celery,
    *,
    threads: int,
    node: str | None,
    closing: threading.Event,
    leaving: Callable[[], None],
    ready: Callable[[], None],
) -> Any:  # noqa: ANN401 - Celery's
    """Return a Celery worker whose `start` consumes in the calling thread until `closing` is set.

    It is made without Celery's command line, which handles signals and forks. `node` is its name.
    """
    return WorkController(
        app=app,
        hostname=node,
        pool=ThreadPool,
        concurrency=threads,
        loglevel="WARNING",
        without_heartbeat=not app.conf.worker_enable_remote_control,
        without_mingle=True,
        without_gossip=True,
        use_eventloop=False,
        consumer_cls=partial(GracefulConsumer, closing=closing, leaving=leaving),
        ready_callback=lambda _: ready(),
    )
