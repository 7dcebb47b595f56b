"""Celery application and in-process queue; a message holds (tenant, job_id), never a picture."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from celery import Celery

from adapters.broker.errors import broker_errors
from core.ingest.sweeper import Handle, InFlightJobs
from core.task_names import INGEST_QUEUE, SETTLE_TASK

VISIBLE_SECONDS = 3600
"""Seconds after which Redis redelivers a message of a dead worker. Jobs do not depend on it: leases
expire after SEENIT_LEASE_SECONDS, and the sweeper sends the jobs again. It is this long so that no
running job is delivered twice; a late message is dropped by the job's done mark."""
TICK_SECONDS = 0.01
"""Seconds between two looks for ended batches and a stop; a message wakes a consumer at once."""
_SILENT_SECONDS = 5
"""Seconds without an answer after which a connection counts as half-open and is replaced."""
_REDIS = {
    "visibility_timeout": VISIBLE_SECONDS,
    # An idle consumer restores unacknowledged messages every so many ticks, which is 10 s.
    "unacked_restore_throttle": int(10 / TICK_SECONDS),
    "socket_connect_timeout": 2,
    "socket_timeout": _SILENT_SECONDS,
    "socket_keepalive": True,
    "health_check_interval": _SILENT_SECONDS,
}


def create_celery(broker_url: str, *, batch: int, queue: str = INGEST_QUEUE) -> Celery:
    """Return a Celery application without tasks, for one queue.

    Over memory:// the queue gets a unique name: kombu shares queues of one name between all
    connections of a process. An idle fetch waits for the polling interval (1 s by default).
    `batch` messages are prefetched, as a batched task is filled only from fetched messages.
    Messages are JSON, so that none can hold code, and are acknowledged once the outcome is known:
    a worker that dies has acknowledged none of its messages.
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
        # Otherwise a consumer that lost its connection fetches fewer until it has caught up.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={"polling_interval": 0.005} if memory else _REDIS,
        broker_connection_retry_on_startup=True,
        # A Redis that fails over, or is full, answers with an error: a consumer must outlive it.
        broker_channel_error_retry=True,
        broker_connection_timeout=2,
    )
    return app


class CeleryQueue:
    """Implementation of the port `Queue` in one process; never sends a job that is in hand."""

    def __init__(self, app: Celery, hand: InFlightJobs) -> None:
        self._app = app
        self._hand = hand

    def enqueue(self, jobs: Sequence[Handle]) -> None:
        """Send one message a job. Raise QueueUnavailableError; unsent jobs are not in hand."""
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
        """Return how many jobs are enqueued or being settled in this process."""
        return len(self._hand)

    def send_admin_task(self, task_id: str) -> None:
        """Send nothing: the holder of the data folder looks for requests in the blob store."""

    def admin_depth(self) -> int:
        """Return 0: none waits here."""
        return 0

    def check_writable(self) -> None:
        """Do nothing: a queue in memory is always writable."""
