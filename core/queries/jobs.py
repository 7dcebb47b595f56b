"""How far each job has come: what the log says of it, else what lies pending, else the news."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from core import clock, keys
from core.errors import MissingError
from core.ports import Blobs, Index, Progress
from core.queries.snapshot import FollowsLog, Snapshot
from core.records import Job, JobKind, JobStatus, Outcome, Problem
from core.storage.picture_store import PictureStore
from core.task_names import attempt_of, picture_of
from core.types import Decision, Verdict

_JOB = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.\d{1,9})?")
_job = msgspec.json.Decoder(Job)

Before = tuple[str, str] | None
"""(accepted_at, job_id) that a part of a list lies below."""
SLACK = 1.0
"""Seconds by which the time in an id may be ahead of `accepted_at`: both are taken in one call."""


class JobState(Struct, frozen=True, kw_only=True):
    """A job as it stands: pending, or ended with a verdict or a problem."""

    job_id: str
    image_id: str
    kind: JobKind
    status: JobStatus
    attempts: int
    accepted_at: str
    finished_at: str | None = None
    verdict: Verdict | None = None
    decision: Decision | None = None
    problem: Problem | None = None


class JobPage(NamedTuple):
    """Part of a list of jobs, newest first, and the place where it goes on."""

    items: list[JobState]
    after: tuple[str, str] | None


class UnsettledError(MissingError):
    """The picture was accepted, but there is no record of it (yet); `job` says why."""

    def __init__(
        self, detail: str, *, field: str | None = None, job: JobState | None = None
    ) -> None:
        super().__init__(detail, field=field)
        self.job = job


class JobReader:
    """Reads of jobs; needs the log and the index, never the broker."""

    def __init__(
        self,
        index: Index,
        follower: FollowsLog,
        shelf: PictureStore,
        blobs: Blobs,
        progress: Progress,
    ) -> None:
        self._index = index
        self._follower = follower
        self._shelf = shelf
        self._blobs = blobs
        self._progress = progress

    def overlay(self, tenant: str) -> Snapshot:
        """The index as of now."""
        return Snapshot(self._index, self._shelf, tenant, self._follower.tail(tenant))

    def jobs(self, tenant: str, job_ids: Sequence[str]) -> list[JobState | None]:
        """In order; None for unknown ones."""
        found: list[JobState | None] = [None] * len(job_ids)
        wanted = [n for n, job_id in enumerate(job_ids) if _JOB.fullmatch(job_id)]
        # A job leaves `pending/` only after the log has it, so what is in neither when asked in
        # this order has moved meanwhile and is found by asking once more.
        for _ in range(2):
            wanted = [n for n in wanted if found[n] is None]
            if not wanted:
                break
            ended = self.overlay(tenant).outcomes([job_ids[n] for n in wanted])
            for n, outcome in zip(wanted, ended, strict=True):
                found[n] = None if outcome is None else _ended(outcome)
            open_ = [n for n in wanted if found[n] is None]
            objects = self._blobs.get_many([keys.pending(tenant, job_ids[n]) for n in open_])
            for n, data in zip(open_, objects, strict=True):
                found[n] = None if data is None else self._pending(_job.decode(data))
        return found

    def job(self, tenant: str, job_id: str) -> JobState:
        """Raise MissingError."""
        job = self.jobs(tenant, [job_id])[0]
        if job is None:
            raise MissingError(f"there is no job {job_id}")
        return job

    def ended(self, tenant: str, job_ids: Sequence[str]) -> list[JobStatus | None]:
        """`done` or `failed` of each job that has ended, None of the others, in order."""
        found = self.overlay(tenant).outcomes(job_ids)
        return [None if outcome is None else _ended(outcome).status for outcome in found]

    def latest(self, tenant: str, image_id: str) -> JobState | None:
        """The newest attempt at a picture, None where there never was one."""
        last, n = None, 0
        while True:
            job = self.jobs(tenant, [image_id if n == 0 else f"{image_id}.{n}"])[0]
            if job is None:
                return last
            last, n = job, n + 1

    def job_page(
        self, tenant: str, status: JobStatus | None, limit: int, before: Before
    ) -> JobPage:
        """Pending and ended jobs, newest first by (accepted_at, job_id)."""
        found: dict[str, JobState] = {}
        more = False
        overlay = self.overlay(tenant)
        if status not in ("done", "failed"):
            pending, more = self._newest(overlay, status, limit, before)
            found = {job.job_id: job for job in pending}
        if status in (None, "done", "failed"):
            held, follow = self._index.list_outcomes(
                tenant, "done" if status == "done" else status and "failed", limit, before
            )
            more = more or follow
            ended = [_ended(o) for o in (*overlay.tail.outcomes.values(), *held)]
            found |= {job.job_id: job for job in ended if before is None or _place(job) < before}
        fitting = [job for job in found.values() if status in (None, job.status)]
        fitting.sort(key=_place, reverse=True)
        cut = fitting[:limit]
        onward = bool(cut) and (more or len(fitting) > limit)
        return JobPage(cut, _place(cut[-1]) if onward else None)

    def waiting(self, tenant: str) -> int:
        """Jobs of this tenant that no entry of the log is known to hold."""
        return sum(1 for _ in self._blobs.keys(f"pending/{tenant}/"))

    def open_jobs(self, tenant: str) -> list[Job]:
        """Everything pending, oldest id first."""
        names = list(self._blobs.keys(f"pending/{tenant}/"))
        return [_job.decode(data) for data in self._blobs.get_many(names) if data is not None]

    # --- steps ----------------------------------------------------------------------------------

    def _pending(self, job: Job) -> JobState:
        return JobState(
            job_id=job.job_id,
            image_id=job.image_id,
            kind=job.kind,
            status=self._heard(job.tenant, job.job_id),
            attempts=attempt_of(job.job_id),
            accepted_at=job.accepted_at,
        )

    def _newest(
        self, overlay: Snapshot, status: JobStatus | None, limit: int, before: Before
    ) -> tuple[list[JobState], bool]:
        """Pending jobs below a place; of a long queue only as many objects are read as are told.

        Ids begin with their time, so they stand in for `accepted_at`; the few retries, whose id is
        older than they are, are always read.
        """
        tenant = overlay.tenant
        names = [key.rpartition("/")[2] for key in self._blobs.keys(f"pending/{tenant}/")]
        if status is not None:
            names = [name for name in names if self._heard(tenant, name) == status]
        retries = [name for name in names if picture_of(name) != name]
        first = sorted((name for name in names if picture_of(name) == name), reverse=True)
        if before is not None:
            latest = clock.parse(before[0]).timestamp() + SLACK
            first = [name for name in first if _time(name) <= latest]
        found: list[JobState] = []
        while True:
            step, first = [*first[: limit + 1], *retries], first[limit + 1 :]
            retries = []
            data = self._blobs.get_many([keys.pending(tenant, name) for name in step])
            ended = overlay.outcomes(step)
            jobs = [
                self._pending(_job.decode(one))
                for one, outcome in zip(data, ended, strict=True)
                if one is not None and outcome is None
            ]
            found += [job for job in jobs if before is None or _place(job) < before]
            if not first or len(found) > limit:
                return found, bool(first)

    def _heard(self, tenant: str, job_id: str) -> JobStatus:
        """How far a pending job has come; that it has ended is for the log to say."""
        heard = self._progress.status(tenant, job_id)
        return "queued" if heard in (None, "done", "failed") else heard


def _ended(outcome: Outcome) -> JobState:
    return JobState(
        job_id=outcome.job_id,
        image_id=outcome.image_id,
        kind=outcome.kind,
        status="failed" if outcome.problem is not None else "done",
        attempts=attempt_of(outcome.job_id),
        accepted_at=outcome.accepted_at,
        finished_at=outcome.finished_at,
        verdict=outcome.verdict,
        decision=outcome.decision,
        problem=outcome.problem,
    )


def _place(job: JobState) -> tuple[str, str]:
    return job.accepted_at, job.job_id


def _time(job_id: str) -> float:
    """Seconds since the epoch that a UUIDv7 begins with (RFC 9562, 5.7)."""
    milliseconds = int(job_id[:8] + job_id[9:13], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC).timestamp()
