"""Routes of jobs: progress and outcome of uploads and operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, TypeAlias, cast

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from api.auth import KEYED, Caller
from api.dependencies import Cursor, JobId, Jobs, Limit, Records, Who
from api.problems import documented
from api.schemas import examples, images, render
from core import cursor as cursors
from core.errors import ConflictError, GoneError, MissingError
from core.ingest.accept import Acceptor
from core.queries.joined_views import JobView
from core.queries.records import RecordReader
from core.queries.wait import JobWaiter
from core.records import JobStatus

TenantNamed: TypeAlias = Annotated[
    str | None, QueryParameter(description="For keys of role operator: whose jobs.")
]
COMMENT_SECONDS = 15.0
"""Seconds between two comments on a stream without events."""
STEPS: tuple[JobStatus, ...] = ("queued", "decoding", "embedding", "settling", "done", "failed")
"""Statuses in order; their positions are the ids of the events."""


class JobRoutes(Controller):
    """The routes below /v1/jobs."""

    path = "/v1/jobs"
    tags = ("jobs",)
    security = KEYED

    @get(
        opt={"role": "write", "operator": True},
        summary="List jobs",
        responses=documented(),
        sync_to_thread=True,
    )
    def list_jobs(
        self,
        *,
        jobs: Jobs,
        records: Records,
        caller: Who,
        status: Annotated[JobStatus | None, QueryParameter()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
        tenant: TenantNamed = None,  # noqa: ARG002 - the guard reads it
    ) -> images.Jobs:
        """List waiting, running and ended jobs, newest first. Works with the broker down.

        A key of role operator reads those of any tenant, without verdicts and decisions.
        """
        before = None if cursor is None else cursors.decode(cursor)
        page = jobs.job_page(caller.tenant, status, limit, before)
        views = records.job_views(caller.tenant, page.items)
        onward = None if page.after is None else cursors.encode(*page.after)
        return images.Jobs([_job(one, caller) for one in views], onward)

    @get(
        "/{job_id:str}",
        opt={"role": "write", "operator": True},
        summary="One job",
        responses=documented(MissingError),
        sync_to_thread=True,
    )
    def get_job(
        self,
        records: Records,
        caller: Who,
        job_id: JobId,
        tenant: TenantNamed = None,  # noqa: ARG002 - the guard reads it
    ) -> images.Job:
        """Return a job's status; once it has ended, its verdict or its error."""
        return _job(records.job_view(caller.tenant, job_id), caller)

    @get(
        "/{job_id:str}/events",
        opt={"role": "write"},
        media_type="text/event-stream",
        summary="Follow a job",
        responses={
            **documented(MissingError),
            204: examples.empty("Last-Event-ID is that of the last event: there are no more."),
        },
    )
    async def follow_job(
        self,
        *,
        jobs: Jobs,
        records: Records,
        waiter: NamedDependency[SkipValidation[JobWaiter]],
        caller: Who,
        job_id: JobId,
        last: Annotated[
            str | None,
            HeaderParameter(name="Last-Event-ID", description="Events up to this are left out."),
        ] = None,
    ) -> ServerSentEvent | Response[None]:
        """Send server-sent events named `status`, each with the whole job, until it has ended.

        A comment every 15 s keeps the stream alive. A job that has ended sends one event at once.
        """
        job = await asyncio.to_thread(jobs.job, caller.tenant, job_id)
        after = int(last) if last is not None and last in map(str, range(len(STEPS))) else -1
        if _is_over(job.status) and after >= STEPS.index(job.status):
            return Response(None, status_code=204)
        return ServerSentEvent(_stream(waiter, records, caller.tenant, job_id, after))

    @post(
        "/{job_id:str}/retry",
        status_code=202,
        opt={"role": "write"},
        summary="Try a failed upload again",
        responses=documented(MissingError, GoneError, ConflictError),
        sync_to_thread=True,
    )
    def retry_job(
        self,
        jobs: Jobs,
        acceptor: NamedDependency[SkipValidation[Acceptor]],
        records: Records,
        caller: Who,
        job_id: JobId,
    ) -> images.Job:
        """Queue a new job `<image_id>.<n>` for the same bytes; 409 unless the upload has failed."""
        present = jobs.job(caller.tenant, job_id)
        if present.kind != "ingest" or present.status != "failed":
            raise ConflictError(
                f"{present.kind} job {job_id} is {present.status}; retry takes a failed upload"
            )
        job = acceptor.retry(caller.tenant, job_id)
        return render.job(records.job_view(caller.tenant, job.job_id))


def _job(view: JobView, caller: Caller) -> images.Job:
    """Render a job; to operators without the verdict and decision, which are the tenant's own."""
    job = render.job(view)
    if caller.role == "operator":
        return msgspec.structs.replace(job, verdict=None, decision=None)
    return job


def _is_over(status: JobStatus) -> bool:
    return status in ("done", "failed")


_message = partial(ServerSentEventMessage, sep="\n")


async def _stream(
    waiter: JobWaiter, records: RecordReader, tenant: str, job_id: str, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield each step after the last one sent, and comments in between."""
    loop = asyncio.get_running_loop()
    sent = loop.time()
    yield _message(data=None, retry=2000)
    events = waiter.events(tenant, job_id)
    async with aclosing(cast("AsyncGenerator[JobStatus | None]", events)) as stream:
        async for status in stream:
            if status is not None and STEPS.index(status) > after:
                after = STEPS.index(status)
                job = await asyncio.to_thread(_event, records, tenant, job_id, status)
                yield _message(job, "status", after)
                sent = loop.time()
            elif loop.time() - sent >= COMMENT_SECONDS:
                yield _message(data=None, comment="still here")
                sent = loop.time()


def _event(records: RecordReader, tenant: str, job_id: str, status: JobStatus) -> bytes:
    """Return the whole job as JSON, with the status of the event unless it has ended meanwhile."""
    job = render.job(records.job_view(tenant, job_id))
    if not _is_over(job.status) and not _is_over(status):
        job = msgspec.structs.replace(job, status=status)
    return msgspec.json.encode(job)
