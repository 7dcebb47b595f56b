"""Telling log lines and figures what an entry says: once, by the worker that appended it."""

from __future__ import annotations

import logging
from typing import Any

from core import clock
from core.metrics import Meter
from core.records import Entry, Job, Operation

logger = logging.getLogger(__name__)


def accepted(meter: Meter, job: Job) -> None:
    """A job is durable. Nothing of what its fields say: those are personal."""
    meter.count("accepted", kind=job.kind)
    said: dict[str, Any] = {"bytes": job.bytes} if job.kind == "ingest" else {"kind": job.kind}
    logger.info("accepted", extra=about(job.tenant, job.job_id, image_id=job.image_id, **said))


def appended(meter: Meter, tenant: str, entry: Entry) -> None:
    """An entry of this process is in the log: its jobs have ended, and how."""
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
    """The index holds what an entry says."""
    if logger.isEnabledFor(logging.DEBUG):
        for operation in entry.operations:
            logger.debug("projected", extra=about(tenant, operation.job, seq=entry.seq))


def age(stamp: str) -> float | None:
    """Seconds since a stamp, at least 0; None for what is none."""
    try:
        return max(0.0, clock.seconds_since(stamp))
    except ValueError:
        return None


def about(tenant: str, job_id: str, **more: object) -> dict[str, Any]:
    """What a line of the log has besides its words."""
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
