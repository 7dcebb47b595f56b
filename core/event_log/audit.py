"""Log lines and metrics of entries: reported once, by the worker that appended the entry."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

from core import clock
from core.metrics import Meter
from core.records import Entry, Job

logger = logging.getLogger(__name__)


def accepted(meter: Meter, job: Job) -> None:
    """Report a durable job, without its fields, which are personal."""
    meter.count("accepted", kind=job.kind)
    said: dict[str, Any] = {"bytes": job.bytes} if job.kind == "ingest" else {"kind": job.kind}
    logger.info("accepted", extra=about(job.tenant, job.job_id, image_id=job.image_id, **said))


def appended(meter: Meter, tenant: str, entry: Entry) -> None:
    """Report an entry that this process appended: its jobs have ended."""
    meter.count("entries")
    for operation in entry.operations:
        seconds = age(operation.accepted_at)
        if operation.last and seconds is not None:
            meter.waited("verdict", seconds)
        said: dict[str, Any] = {}
        if operation.problem is not None:
            said = {"reason": operation.problem.type}
            meter.count("failures", reason=operation.problem.type)
        elif operation.kind == "settled":
            own = (one for one in operation.states if one.image_id == operation.image_id)
            for state in islice(own, 1):
                said = {"verdict": state.verdict.kind, "original": state.verdict.original}
                meter.count("verdicts", kind=state.verdict.kind)
        logger.log(
            logging.INFO if operation.last else logging.DEBUG,
            operation.kind,
            extra=about(
                tenant,
                operation.job,
                image_id=operation.image_id,
                seq=entry.seq,
                ms=None if seconds is None else round(seconds * 1000),
                **said,
            ),
        )


def projected(tenant: str, entry: Entry) -> None:
    """Report an entry that is on the index."""
    if logger.isEnabledFor(logging.DEBUG):
        for operation in entry.operations:
            logger.debug("projected", extra=about(tenant, operation.job, seq=entry.seq))


def age(stamp: str) -> float | None:
    """Return the seconds since a stamp, at least 0; None if it is invalid."""
    try:
        return max(0.0, clock.seconds_since(stamp))
    except ValueError:
        return None


def about(tenant: str, job_id: str, **more: object) -> dict[str, Any]:
    """Return the fields of a log line about a job."""
    return {"tenant": tenant, "job_id": job_id, **more}
