"""Status of jobs: from the log, else from the pending job and its last published status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from core import clock, keys
from core.errors import MissingError
from core.ports import Blobs, Progress
from core.queries.snapshot import Place, Snapshot, Snapshots
from core.records import Job, JobKind, JobStatus, Outcome, Problem
from core.task_names import attempt_of, picture_of
from core.types import Decision, Verdict

_JOB = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.\d{1,9})?")
_job = msgspec.json.Decoder(Job)

Before = Place | None
SLACK = 1.0
"""Seconds by which an id's time may be ahead of `accepted_at`: one call takes both."""


class JobState(Struct, frozen=True, kw_only=True):
    """A job's present state: pending, or ended with a verdict or a problem."""

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
    """Part of a list of jobs, newest first, and the place where the next part begins."""

    items: list[JobState]
    after: Place | None


class UnsettledError(MissingError):
    """An accepted picture without a record (yet); `job` gives the reason."""

    def __init__(
        self, detail: str, *, field: str | None = None, job: JobState | None = None
    ) -> None:
        super().__init__(detail, field=field)
        self.job = job


class JobReader:
    """Reads of jobs; needs the log and the index, never the broker."""

    def __init__(self, snapshots: Snapshots, blobs: Blobs, progress: Progress) -> None:
        self._snapshots = snapshots
        self._blobs = blobs
        self._progress = progress

    def jobs(self, tenant: str, job_ids: Sequence[str]) -> list[JobState | None]:
        """Return jobs in order, None for unknown ones."""
        found: dict[str, JobState] = {}
        wanted = [job_id for job_id in job_ids if _JOB.fullmatch(job_id)]
        # A job leaves `pending/` only after the log has it, so one that is in neither, read in this
        # order, has moved meanwhile and is found by a second read.
        for _ in range(2):
            wanted = [job_id for job_id in wanted if job_id not in found]
            if not wanted:
                break
            ended = self._snapshots.take(tenant).outcomes(wanted)
            found |= {one.job_id: _ended(one) for one in ended if one is not None}
            found |= self._pending(tenant, [one for one in wanted if one not in found])
        return [found.get(job_id) for job_id in job_ids]

    def job(self, tenant: str, job_id: str) -> JobState:
        """Return a job. Raise MissingError."""
        job = self.jobs(tenant, [job_id])[0]
        if job is None:
            raise MissingError(f"there is no job {job_id}")
        return job

    def ended(self, tenant: str, job_ids: Sequence[str]) -> list[JobStatus | None]:
        """Return `done` or `failed` of each job that has ended, None of the others, in order."""
        found = self._snapshots.take(tenant).outcomes(job_ids)
        return [None if outcome is None else _ended(outcome).status for outcome in found]

    def latest(self, tenant: str, image_id: str) -> JobState | None:
        """Return the newest attempt at a picture, None if there never was one."""
        last, n = None, 0
        while True:
            job = self.jobs(tenant, [image_id if n == 0 else f"{image_id}.{n}"])[0]
            if job is None:
                return last
            last, n = job, n + 1

    def job_page(
        self, tenant: str, status: JobStatus | None, limit: int, before: Before
    ) -> JobPage:
        """Return pending and ended jobs, newest first by (accepted_at, job_id)."""
        snapshot = self._snapshots.take(tenant)
        found: dict[str, JobState] = {}
        more = False
        if status not in ("done", "failed"):
            pending, more = self._list_pending(snapshot, status, limit, before)
            found = {job.job_id: job for job in pending}
        if status in (None, "done", "failed"):
            ended, follow = _list_ended(snapshot, status, limit, before)
            found |= {job.job_id: job for job in ended}
            more = more or follow
        fitting = [job for job in found.values() if status in (None, job.status)]
        fitting.sort(key=_place, reverse=True)
        cut = fitting[:limit]
        onward = bool(cut) and (more or len(fitting) > limit)
        return JobPage(cut, _place(cut[-1]) if onward else None)

    def waiting(self, tenant: str) -> int:
        """Count the jobs of a tenant that no entry of the log is known to hold."""
        return sum(1 for _ in self._blobs.keys(f"pending/{tenant}/"))

    def open_jobs(self, tenant: str) -> list[Job]:
        """Return all pending jobs, oldest id first."""
        names = list(self._blobs.keys(f"pending/{tenant}/"))
        return [_job.decode(data) for data in self._blobs.get_many(names) if data is not None]

    # --- steps ----------------------------------------------------------------------------------

    def _pending(self, tenant: str, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Return the pending ones of some jobs, by job_id."""
        data = self._blobs.get_many([keys.pending(tenant, job_id) for job_id in job_ids])
        jobs = [_job.decode(one) for one in data if one is not None]
        return {
            job.job_id: JobState(
                job_id=job.job_id,
                image_id=job.image_id,
                kind=job.kind,
                status=self._reported(job.tenant, job.job_id),
                attempts=attempt_of(job.job_id),
                accepted_at=job.accepted_at,
            )
            for job in jobs
        }

    def _list_pending(
        self, snapshot: Snapshot, status: JobStatus | None, limit: int, before: Before
    ) -> tuple[list[JobState], bool]:
        """Return pending jobs below a place, and whether more follow.

        Only as many objects of a long queue are read as are listed: ids begin with their time, so
        they stand in for `accepted_at`. Retries, whose id is older than they are, are few, and all
        of them are read.
        """
        uploads, retries = self._pending_ids(snapshot.tenant, status, before)
        found: list[JobState] = []
        while True:
            part, uploads = [*uploads[: limit + 1], *retries], uploads[limit + 1 :]
            retries = []
            pending = self._pending(snapshot.tenant, part)
            ended = snapshot.outcomes(part)
            open_ = [one for one, outcome in zip(part, ended, strict=True) if outcome is None]
            jobs = [pending[job_id] for job_id in open_ if job_id in pending]
            found += [job for job in jobs if _below(job, before)]
            if not uploads or len(found) > limit:
                return found, bool(uploads)

    def _pending_ids(
        self, tenant: str, status: JobStatus | None, before: Before
    ) -> tuple[list[str], list[str]]:
        """Return ids of pending jobs, newest first: those below a place, and all retries."""
        ids = [key.rpartition("/")[2] for key in self._blobs.keys(f"pending/{tenant}/")]
        if status is not None:
            ids = [job_id for job_id in ids if self._reported(tenant, job_id) == status]
        first = sorted((one for one in ids if picture_of(one) == one), reverse=True)
        if before is not None:
            latest = clock.parse(before[0]).timestamp() + SLACK
            first = [job_id for job_id in first if _time(job_id) <= latest]
        return first, [job_id for job_id in ids if picture_of(job_id) != job_id]

    def _reported(self, tenant: str, job_id: str) -> JobStatus:
        """Return a pending job's last published status; only the log ends a job."""
        status = self._progress.status(tenant, job_id)
        return "queued" if status in (None, "done", "failed") else status


def _list_ended(
    snapshot: Snapshot, status: JobStatus | None, limit: int, before: Before
) -> tuple[list[JobState], bool]:
    """Return ended jobs of the tail and index below a place, and whether more follow."""
    wanted = status if status in ("done", "failed") else None
    held, more = snapshot.index.list_outcomes(snapshot.tenant, wanted, limit, before)
    ended = map(_ended, (*snapshot.tail.layer.outcomes.values(), *held))
    return [job for job in ended if _below(job, before)], more


def _below(job: JobState, before: Before) -> bool:
    return before is None or _place(job) < before


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
    """Return the epoch seconds that a UUIDv7 begins with (RFC 9562, 5.7)."""
    milliseconds = int(job_id[:8] + job_id[9:13], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC).timestamp()
