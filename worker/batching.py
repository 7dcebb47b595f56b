"""The only module that knows celery-batches: done, failed, sent again, given up.

A `Batches` task that raises is logged, acknowledged and forgotten, so nothing raises here: each
request of a batch is settled by itself, and what has no outcome goes back to the sweeper, which
finds it in `pending/` and sends it again after a pause.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from celery import Celery
from celery_batches import Batches, SimpleRequest

from core.jobs import SETTLE_TASK
from core.sweep import Handle

FLUSH_SECONDS = 0.02
"""How long a batch waits for company; one upload alone waits no longer than that."""

Settle = Callable[[str, Sequence[str]], Sequence[Exception | None]]

logger = logging.getLogger(__name__)


def register(
    app: Celery,
    settle: Settle,
    *,
    batch: int,
    ended: Callable[[Sequence[Handle]], None],
    failed: Callable[[Sequence[Handle]], None],
) -> None:
    """Give the application its one batched task.

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
                errors = settle(tenant, job_ids)
                pairs = list(zip(job_ids, errors, strict=True))
                ended([(tenant, job_id) for job_id, error in pairs if error is None])
                failed([(tenant, job_id) for job_id, error in pairs if error is not None])

    app.task(
        base=Batches,
        name=SETTLE_TASK,
        shared=False,  # else every other application of the process gets this very task
        flush_every=batch,
        flush_interval=FLUSH_SECONDS,
    )(run)
