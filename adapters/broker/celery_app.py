"""The queue on Celery: jobs travel as (tenant, job_id), never as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from celery import Celery

from adapters.broker.errors import broker_errors
from core.ingest.sweeper import Handle, InFlightJobs
from core.task_names import INGEST_QUEUE, SETTLE_TASK

VISIBLE_SECONDS = 3600
"""After which Redis gives a message of a dead worker to another one. That is not how its jobs are
found again: its leases run out after SEENIT_LEASE_SECONDS, and the sweeper sends them anew. So this
is long, that nothing which still runs is ever given twice; what comes late is dropped by its done
mark."""
TICK_SECONDS = 0.01
"""A consumer looks so often whether a batch ended or it is to stop; a message wakes it at once."""
_SILENT_SECONDS = 5
"""After which a connection that owes an answer counts as half-open and is made anew."""
_REDIS = {
    "visibility_timeout": VISIBLE_SECONDS,
    # An idle consumer tries to restore at every so many ticks: each 10 s.
    "unacked_restore_throttle": int(10 / TICK_SECONDS),
    "socket_connect_timeout": 2,
    "socket_timeout": _SILENT_SECONDS,
    "socket_keepalive": True,
    "health_check_interval": _SILENT_SECONDS,
}


def create_celery(broker_url: str, *, batch: int, queue: str = INGEST_QUEUE) -> Celery:
    """A Celery application without tasks, for one queue.

    Over memory:// the queue gets a name of its own: kombu shares queues of one name between all
    connections of a process. The polling interval is what an idle fetch waits (1 s by default).
    Prefetch is what may be in hand, `batch` messages: a batched task fills only from what was
    fetched. JSON only, so that a message can be no code. Acknowledged once the outcome is known:
    a worker that dies has acknowledged nothing.
    """
    memory = broker_url.startswith("memory://")
    app = Celery("seenit", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=f"{queue}-{uuid4().hex[:8]}" if memory else queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=batch,
        worker_concurrency=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # Else a consumer that lost its connection takes fewer at a time until it has caught up.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={"polling_interval": 0.005} if memory else _REDIS,
        broker_connection_retry_on_startup=True,
        # A Redis that fails over, or is full, answers with an error: a consumer must outlive it.
        broker_channel_error_retry=True,
        broker_connection_timeout=2,
    )
    return app


class CeleryQueue:
    """Implements `Queue` by name; never asks Celery twice for what this process has in hand."""

    def __init__(self, app: Celery, hand: InFlightJobs) -> None:
        self._app = app
        self._hand = hand

    def enqueue(self, jobs: Sequence[Handle]) -> None:
        """Send one message a job. Raise QueueUnavailableError; what was not sent is not in hand."""
        sent = 0
        fresh = self._hand.take(jobs)
        try:
            with broker_errors(), self._app.producer_or_acquire() as producer:
                for tenant, job_id in fresh:
                    self._app.send_task(SETTLE_TASK, (tenant, job_id), producer=producer)
                    sent += 1
        finally:
            if sent < len(fresh):
                self._hand.failed(fresh[sent:])

    def depth(self) -> int:
        """Jobs enqueued or being settled by this process."""
        return len(self._hand)

    def send_admin_task(self, task_id: str) -> None:
        """Send nothing: the holder of the data folder looks for requests in the blob store."""

    def admin_depth(self) -> int:
        """Return 0: none waits here."""
        return 0

    def check_writable(self) -> None:
        """It lies in this process, and takes whatever comes."""
