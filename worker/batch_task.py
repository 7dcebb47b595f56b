"""The only module that knows celery-batches: done, failed, sent again, given up.

A `Batches` task that raises is logged, acknowledged and forgotten, so nothing raises here: each
request of a batch is settled by itself, and what has no outcome goes back to the sweeper, which
finds it in `pending/` and sends it again after a pause.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from queue import Queue
from typing import Any, NamedTuple

from celery import Celery
from celery_batches import Batches, SimpleRequest

from core.ingest.sweeper import Handle
from core.task_names import SETTLE_TASK

FLUSH_SECONDS = 0.02
"""How long a batch waits for company; one upload alone waits no longer than that."""

Settle = Callable[[str, Sequence[str]], Sequence[Exception | None]]


class ReceivedMessage(NamedTuple):
    """A message with a job to settle; acknowledging it deletes it from the broker."""

    job: Handle
    acknowledge: Callable[[], None]
    sent: float | None = None
    """When it was enqueued, in seconds since the epoch."""


Receive = Callable[[Sequence[ReceivedMessage]], None]
"""Accepts messages and returns at once; acknowledges each when its job cannot be lost."""


class BatchTask(Batches):  # type: ignore[misc]  # untyped, all of Celery
    """Gathers messages as celery-batches does, and passes them to `receive`."""

    abstract = True
    receive: Receive | None = None
    """Receiver of the messages; without one a batch runs in the consumer's pool."""

    def Strategy(self, task: Any, app: Celery, consumer: Any) -> Any:  # noqa: ANN401, N802
        """Start empty on each connection: messages of the last one cannot be acknowledged.

        Its timer went with it, and celery-batches would wait for that one's next flush.
        """
        if self._tref is not None:  # type: ignore[has-type]  # likewise
            self._tref.cancel()  # type: ignore[has-type]  # likewise
        self._tref = None
        self._buffer: Queue[Any] = Queue()
        self._consumer = consumer
        return super().Strategy(task, app, consumer)

    def flush(self, requests: Collection[Any]) -> Any:  # noqa: ANN401 - Celery's
        """Pass the requests to the receiver."""
        if self.receive is None:
            return super().flush(requests)
        self.receive(
            [
                ReceivedMessage(
                    _job(request.args),
                    partial(self._consumer.done, request.message),
                    request.request_dict.get("sent"),
                )
                for request in requests
            ]
        )
        return None

    def look(self) -> None:
        """Flush requests that arrived just when the timer found none and ended."""
        if self._tref is None and not self._buffer.empty():
            self._do_flush()


def register(
    app: Celery,
    settle: Settle,
    *,
    batch: int,
    ended: Callable[[Sequence[Handle]], None],
    failed: Callable[[Sequence[Handle]], None],
) -> None:
    """Give the application its one batched task, for a queue inside the process.

    `settle(tenant, job_ids)` answers None or an error for each, in order. Over memory:// a full
    batch is flushed by the consumer and a timed one by Celery's timer thread: one lock, one batch
    at a time.
    """
    turn = threading.Lock()

    def run(requests: Sequence[SimpleRequest]) -> None:
        by_tenant: dict[str, list[str]] = {}
        for request in requests:
            tenant, job_id = request.args
            by_tenant.setdefault(tenant, []).append(job_id)
        with turn:
            for tenant, job_ids in by_tenant.items():
                pairs = list(zip(job_ids, settle(tenant, job_ids), strict=True))
                ended([(tenant, job_id) for job_id, error in pairs if error is None])
                failed([(tenant, job_id) for job_id, error in pairs if error is not None])

    _add(app, run, batch, None)


def gather(app: Celery, receive: Receive, *, batch: int) -> None:
    """Give the application its one batched task, for a queue that workers share."""

    def run(requests: Sequence[SimpleRequest]) -> None:
        raise NotImplementedError(f"{len(requests)} requests were flushed without a receiver")

    _add(app, run, batch, receive)


def _add(
    app: Celery,
    run: Callable[[Sequence[SimpleRequest]], None],
    batch: int,
    receive: Receive | None,
) -> None:
    app.task(
        base=BatchTask,
        name=SETTLE_TASK,
        shared=False,  # else every other application of the process gets this very task
        flush_every=batch,
        flush_interval=FLUSH_SECONDS,
        receive=receive,
    )(run)


def _job(arguments: Sequence[Any]) -> Handle:
    tenant, job_id = arguments
    return str(tenant), str(job_id)
