"""The upload route: accepting files as jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import structlog
from litestar import Controller, Response, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import HeaderParameter, QueryParameter, SkipValidation

from adapters.wiring import Services
from api.auth import KEYED
from api.dependencies import Requested, Spooled, Who, number
from api.multipart import FormLimits, ReceivedForm, received
from api.problems import DetailedError, documented
from api.request_bodies import form_names, of_form
from api.routes.metrics import MetricsRoutes
from api.schemas import examples, images, render
from api.schemas.operation_bodies import UploadOperation
from api.schemas.requests import UploadForm
from api.upload_spool import UploadSpool
from core.errors import (
    BacklogError,
    BrokenError,
    KeyReusedError,
    MalformedError,
    SeenitError,
    StoreUnavailableError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
)
from core.ingest.accept import AcceptedJobs
from core.records import Job

ENDED = ("done", "failed")
WAIT = 60.0
"""Upper bound of `wait`, in seconds."""
SOON = 0.5
"""Seconds that a repeated call waits for the state of its jobs."""
REPLAY = ResponseHeader(
    name="Idempotent-Replay",
    documentation_only=True,
    description="`true`: an earlier call with this Idempotency-Key was accepted.",
)
KEY = 255
"""Most characters of an Idempotency-Key."""

logger = structlog.get_logger(__name__)


class Uploads:
    """Acceptance of uploads: admitted, received, accepted as jobs, and answered."""

    def __init__(self, services: Services, spool: UploadSpool, figures: MetricsRoutes) -> None:
        self._acceptor = services.acceptor
        self._jobs = services.jobs
        self._reader = services.reader
        self._waiter = services.waiter
        self._spool = spool
        self._figures = figures
        limits = services.settings
        self.bounds = FormLimits(limits.max_files, int(limits.max_bytes), form_names(UploadForm))

    async def admit(self, request: Requested, tenant: str, *, repeat: bool) -> None:
        """Refuse before a byte is written, but read the body, so that the caller is answered."""
        try:
            await self._spool.run(self._acceptor.admit, tenant, repeat=repeat)
        except UnavailableError:
            left = self.bounds.files * self.bounds.bytes
            with suppress(InternalServerException):  # the caller has gone
                async for chunk in request.stream():
                    left -= len(chunk)
                    if left < 0:
                        break
            raise

    def accept(self, tenant: str, form: ReceivedForm, key: str | None) -> AcceptedJobs:
        """Accept the files of a form. Raise MalformedError, DetailedError if none is accepted."""
        if not form.files:
            most = self.bounds.files
            raise MalformedError(f"send 1 to {most} files as parts named file", field="file")
        body = of_form(form.texts, UploadForm)
        accepted = self._acceptor.uploads(
            tenant,
            form.files,
            body.fields(),
            keep_bytes=body.on_duplicate == "keep",
            key=key,
        )
        self._figures.accepted(accepted.items)
        errors = [item for item in accepted.items if isinstance(item, SeenitError)]
        if len(errors) == len(accepted.items):
            raise DetailedError(
                _whole(errors),
                errors=[
                    render.problem(error, filename=name)
                    for error, name in zip(errors, form.names, strict=True)
                ],
            )
        return accepted

    async def answer(
        self,
        tenant: str,
        accepted: AcceptedJobs,
        names: Sequence[str | None],
        wait: float,
    ) -> Response[images.Accepted]:
        """Return the ids, and the state of each job if the caller waits or repeats a call."""
        ids = [item.job_id for item in accepted.items if isinstance(item, Job)]
        structlog.contextvars.bind_contextvars(job_ids=ids)  # this request's lines name its jobs
        now: dict[str, images.Item] = {}
        if wait or accepted.replayed:
            now = await self._states(tenant, ids, wait)
        ended = bool(wait) and all(one in now and now[one].status in ENDED for one in ids)
        items = [_item(item, name, now) for item, name in zip(accepted.items, names, strict=True)]
        return Response(
            images.Accepted(items),
            status_code=200 if ended else 202,
            headers={"Idempotent-Replay": "true"} if accepted.replayed else {},
        )

    async def _states(self, tenant: str, ids: Sequence[str], wait: float) -> dict[str, images.Item]:
        """Return jobs by id after at most `wait` seconds; empty if the index does not answer.

        The files are accepted already: an error here would make the caller send them again.
        """
        try:
            if wait:
                await self._waiter.ended(tenant, ids, wait)
            async with asyncio.timeout(None if wait else SOON):
                return await asyncio.to_thread(self._now, tenant, ids, in_full=bool(wait))
        except (SeenitError, TimeoutError) as error:
            logger.warning("job_states_unknown", reason=str(error) or f"no answer within {SOON} s")
            return {}

    def _now(self, tenant: str, ids: Sequence[str], *, in_full: bool) -> dict[str, images.Item]:
        jobs = [job for job in self._jobs.jobs(tenant, ids) if job is not None]
        if in_full:
            return {
                view.job.job_id: render.ended(view) for view in self._reader.job_views(tenant, jobs)
            }
        return {job.job_id: render.queued(job) for job in jobs}


def _item(item: Job | SeenitError, name: str | None, now: Mapping[str, images.Item]) -> images.Item:
    if isinstance(item, SeenitError):
        return images.Item(error=render.problem(item, filename=name))
    return now.get(item.job_id) or render.queued(item)


class UploadRoutes(Controller):
    """The route POST /v1/images."""

    path = "/v1/images"
    tags = ("images",)
    security = KEYED

    @post(
        status_code=202,
        opt={"role": "write"},
        request_max_body_size=None,
        operation_class=UploadOperation,
        summary="Upload 1 to 100 pictures",
        response_description="At least one file was accepted; each is a job, or an error.",
        response_headers=[REPLAY],
        responses={
            **documented(
                TooLargeError,
                UnsupportedError,
                KeyReusedError,
                BrokenError,
                StoreUnavailableError,
                BacklogError,
            ),
            200: examples.spec(images.Accepted, "With `wait`: all have ended.", examples.ENDED),
        },
    )
    async def upload_images(
        self,
        *,
        request: Requested,
        uploads: NamedDependency[SkipValidation[Uploads]],
        caller: Who,
        spool: Spooled,
        wait: Annotated[
            float,
            QueryParameter(
                ge=0, le=WAIT, description="Seconds to wait for every accepted file to end."
            ),
        ] = 0.0,
        key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                description="Per tenant, kept 24 h: the same key and content returns the same ids,"
                " with `Idempotent-Replay: true`; other content is a 422.",
            ),
        ] = None,
    ) -> Response[images.Accepted]:
        """Accept pictures. A 202 is a promise: the uploads it names are never lost.

        The call checks only size, signature, header, declared pixels and frames; a fault inside the
        pixels fails the job. A refused file is answered as an error in its place and does not fail
        the others, as is a part with invalid headers (400). If no file is accepted: 413 if all are
        too large, 415 if all are of unsupported formats, else 422. If the disk is full or too many
        jobs are queued: 503, with `Retry-After`.
        """
        if key is not None and not (1 <= len(key) <= KEY and key.isprintable()):
            raise MalformedError(
                f"Idempotency-Key has {len(key)} characters; it must be 1 to {KEY} printable ones",
                field="Idempotency-Key",
            )
        number("wait", wait)
        await uploads.admit(request, caller.tenant, repeat=key is not None)
        async with received(request, spool, uploads.bounds) as form:
            accepted = await spool.run(uploads.accept, caller.tenant, form, key)
        return await uploads.answer(caller.tenant, accepted, form.names, wait)


def _whole(errors: Sequence[SeenitError]) -> SeenitError:
    """Return one error for a request without an accepted file."""
    if len(errors) == 1:
        return errors[0]
    for kind in (TooLargeError, UnsupportedError):
        if all(isinstance(error, kind) for error in errors):
            return kind(f"none of {len(errors)} files was accepted: {errors[0].detail}")
    return BrokenError(f"none of {len(errors)} files was accepted; `errors` has the reasons")
