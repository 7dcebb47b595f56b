"""Log lines and metrics of entries: reported once, by the worker that appended the entry."""

from __future__ import annotations

import logging
from typing import Any

from core import clock
from core.metrics import Meter
from core.records import Entry, Job, Operation

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
        logger.log(
            logging.INFO if operation.last else logging.DEBUG,
            operation.kind,
            extra=about(
                tenant,
                operation.job,
                image_id=operation.image_id,
                seq=entry.seq,
                ms=None if seconds is None else round(seconds * 1000),
                **_said(meter, operation),
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


def _said(meter: Meter, operation: Operation) -> dict[str, Any]:
    if operation.problem is not None:
        meter.count("failures", reason=operation.problem.type)
        return {"reason": operation.problem.type}
    if operation.kind != "settled":
        return {}
    for state in operation.states:
        if state.image_id == operation.image_id:
            meter.count("verdicts", kind=state.verdict.kind)
            return {"verdict": state.verdict.kind, "original": state.verdict.original}
    return {}
