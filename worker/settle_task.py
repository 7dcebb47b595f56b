"""The task that settles a batch of jobs, and keeps one bad job from failing the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from core.errors import IndexUnavailableError, SeenitError
from core.ingest.process import IngestProcess

logger = logging.getLogger(__name__)


class SettleTask:
    """Settles a batch; if it fails as a whole, each of its jobs by itself."""

    def __init__(self, ingest: IngestProcess) -> None:
        self._ingest = ingest

    def __call__(self, tenant: str, job_ids: Sequence[str]) -> list[Exception | None]:
        """Settle; return None for each job that has ended, else the error that left it pending.

        One that is settled and not on the index yet is pending too: it is to come again after a
        pause, or the sweeper would send all of those again and again while an index is away.
        """
        whole = self._attempt(tenant, job_ids)
        if whole is None and self._ingest.lags(tenant):
            whole = IndexUnavailableError("settled, and not on the index yet")
        if whole is None:
            return [None] * len(job_ids)
        if len(job_ids) == 1 or (isinstance(whole, SeenitError) and whole.retryable):
            return [whole] * len(job_ids)
        return [self._attempt(tenant, [job_id]) for job_id in job_ids]

    def set_aside(self, tenant: str, job_id: str) -> Exception | None:
        """Settle a job as failed without decoding it; return None, or the error if it cannot be."""
        return _error_of(
            partial(self._ingest.set_aside, tenant, job_id),
            {"tenant": tenant, "job_id": job_id},
            put_off="set_aside_put_off",
            failed="set_aside_failed",
        )

    def _attempt(self, tenant: str, job_ids: Sequence[str]) -> Exception | None:
        return _error_of(
            partial(self._ingest.run, tenant, job_ids),
            {"tenant": tenant, "job_ids": list(job_ids)},
            put_off="batch_put_off",
            failed="batch_failed",
        )


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
