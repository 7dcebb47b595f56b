"""The task that settles a batch of jobs, and keeps one bad job from failing the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from core.errors import IndexUnavailableError, SeenitError
from core.imaging.decode_cost import COSTLY_SECONDS
from core.ingest.process import IngestProcess
from core.records import Job
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE

TURN_SECONDS = 3.0
"""Estimated time on one core after which a turn takes no further job: 64 photos fit."""

logger = logging.getLogger(__name__)


class SettleTask:
    """Settles a batch; if it fails as a whole, each of its jobs by itself."""

    def __init__(self, ingest: IngestProcess) -> None:
        self._ingest = ingest

    def __call__(
        self, tenant: str, job_ids: Sequence[str], *, bounded: bool = False
    ) -> list[Exception | None]:
        """Settle; return None for each job that has ended, else the error that left it pending.

        One that is settled and not on the index yet is pending too: it is to come again after a
        pause, or the sweeper would send all of those again and again while an index is away.
        `bounded`: jobs past TURN_SECONDS are not begun, and have a PutBackError.
        """
        jobs: list[Job] = []
        failed = _error_of(
            lambda: jobs.extend(self._ingest.read(tenant, job_ids)),
            {"tenant": tenant, "job_ids": list(job_ids)},
            put_off="batch_put_off",
            failed="batch_failed",
        )
        if failed is not None:
            return [failed] * len(job_ids)
        later = _later(jobs) if bounded else {}
        now = [job for job in jobs if job.job_id not in later]
        errors = {**later, **self._settle(tenant, now)}
        return [errors.get(job_id) for job_id in job_ids]

    def set_aside(self, tenant: str, job_id: str) -> Exception | None:
        """Settle a job as failed without decoding it; return None, or the error if it cannot be."""
        return _error_of(
            partial(self._ingest.set_aside, tenant, job_id),
            {"tenant": tenant, "job_id": job_id},
            put_off="set_aside_put_off",
            failed="set_aside_failed",
        )

    def _settle(self, tenant: str, jobs: Sequence[Job]) -> dict[str, Exception | None]:
        whole = self._attempt(tenant, jobs)
        if whole is None and self._ingest.lags(tenant):
            whole = IndexUnavailableError("settled, and not on the index yet")
        if whole is None:
            return {}
        if len(jobs) == 1 or (isinstance(whole, SeenitError) and whole.retryable):
            return dict.fromkeys((job.job_id for job in jobs), whole)
        return {job.job_id: self._attempt(tenant, [job]) for job in jobs}

    def _attempt(self, tenant: str, jobs: Sequence[Job]) -> Exception | None:
        return _error_of(
            partial(self._ingest.settle, tenant, jobs),
            {"tenant": tenant, "job_ids": [job.job_id for job in jobs]},
            put_off="batch_put_off",
            failed="batch_failed",
        )


class PutBackError(Exception):
    """A job was not begun: it would have made a turn too long. `queue` is where it waits."""

    def __init__(self, queue: str) -> None:
        super().__init__(f"the job waits in the queue {queue}")
        self.queue = queue


def _later(jobs: Sequence[Job]) -> dict[str, PutBackError]:
    """Return the jobs that exceed a turn; it has at least one, unless all are costly."""
    left = TURN_SECONDS
    later: dict[str, PutBackError] = {}
    for job in jobs:
        if job.cost >= COSTLY_SECONDS:
            later[job.job_id] = PutBackError(COSTLY_QUEUE)
        elif left < TURN_SECONDS and job.cost > left:
            later[job.job_id] = PutBackError(INGEST_QUEUE)
        else:
            left -= job.cost
    return later


def _error_of(
    act: Callable[[], object], about: dict[str, object], *, put_off: str, failed: str
) -> Exception | None:
    """Return the error of an act, logged by the event that fits it; None without one."""
    try:
        act()
    except SeenitError as error:
        logger.warning(put_off, extra={**about, "reason": str(error)})
        return error
    except Exception as error:  # the process's edge: a defect must not take the worker down
        logger.exception(failed, extra=about)
        return error
    return None
