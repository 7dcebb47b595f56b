"""Celery applications: one for each queue, and one that sends; a message holds no picture."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from core.task_names import INGEST_QUEUE

VISIBLE_SECONDS = 3600
"""Seconds after which Redis redelivers a message of a dead worker. Jobs do not depend on it: leases
expire after SEENIT_LEASE_SECONDS, and the sweeper sends the jobs again. It is this long so that no
running task is delivered twice; a late message is a turn that has passed, and is dropped."""
TICK_SECONDS = 0.01
"""Seconds between two looks for ended tasks and a stop; a message wakes a consumer at once."""
_SILENT_SECONDS = 5.0
"""Seconds without an answer after which a connection counts as half-open and is replaced."""
_CONNECT_SECONDS = 2.0


def create_celery(
    broker_url: str,
    *,
    queue: str = INGEST_QUEUE,
    seconds: float | None = None,
    events: bool = False,
    control: bool = False,
) -> Celery:
    """Return a Celery application without tasks, that consumes one queue.

    An idle fetch over memory:// waits for the polling interval (1 s by default). As many messages
    are fetched as tasks run. Messages are JSON, so that none can hold code, and are acknowledged
    once the outcome is known: a worker that dies has acknowledged none of its messages. `seconds`
    shortens the time to connect and to wait for an answer, for senders with a caller who waits.
    `events`: workers send Celery's events; `control`: they answer its remote control.
    """
    memory = broker_url.startswith("memory://")
    app = Celery("seenit", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=control,
        worker_send_task_events=events,
        # Otherwise a consumer that lost its connection fetches fewer until it has caught up.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={"polling_interval": 0.005} if memory else _redis(seconds),
        broker_connection_retry_on_startup=True,
        # A Redis that fails over, or is full, answers with an error: a consumer must outlive it.
        broker_channel_error_retry=True,
        broker_connection_timeout=_CONNECT_SECONDS,
    )
    return app


def send(
    app: Celery, queue: str, task: str, arguments: Sequence[object], *, shown: bool = True
) -> None:
    """Send a task, with no retry. Raise kombu's OperationalError.

    Its arguments are `shown` in Celery's events, unless a caller wrote some of them. It goes to the
    queue without an exchange: an exchange is a key in Redis, which an emptied Redis has lost.
    """
    app.send_task(
        task,
        arguments,
        queue=queue,
        exchange="",
        declare=(),
        retry=False,
        argsrepr=repr(tuple(arguments)) if shown else "",
        kwargsrepr="",
    )


def _redis(seconds: float | None) -> dict[str, object]:
    """Return kombu's options for Redis; a sender that waits `seconds` makes one attempt."""
    silent = seconds or _SILENT_SECONDS
    return {
        "visibility_timeout": VISIBLE_SECONDS,
        # An idle consumer restores unacknowledged messages every so many ticks, which is 10 s.
        "unacked_restore_throttle": int(10 / TICK_SECONDS),
        "socket_connect_timeout": seconds or _CONNECT_SECONDS,
        "socket_timeout": silent,
        "socket_keepalive": True,
        "health_check_interval": _SILENT_SECONDS,
        "max_retries": 0,
    }
