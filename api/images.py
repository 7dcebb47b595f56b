"""Pictures: upload, read, list, change, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter

from adapters.wiring import Services
from api import examples, fields, operations, rendering, schemas
from api.auth import Caller
from api.bodies import DecisionBody, PatchBody, UploadBody
from api.given import Cursor, IfMatch, IfNoneMatch, ImageId, Limit, Who, Wired, holds, number
from api.problems import RETRY_SOON, FullerError, documented
from api.uploads import Bounds, Form, received
from core import clock
from core.accept import Accepted
from core.errors import (
    BrokenError,
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MalformedError,
    MissingError,
    PreconditionError,
    SeenitError,
    TooLargeError,
    UnsupportedError,
)
from core.ports import Filters
from core.telling import Seen
from core.types import Job, Kind, Value

WAIT = 60.0
"""Most seconds that `wait` may ask for."""
KEY = 255
"""Most characters of an Idempotency-Key."""

Requested = Request[Any, Any, State]


class Images(Controller):
    """Everything below /v1/images but the bytes."""

    path = "/v1/images"
    tags = ("images",)

    @post(
        status_code=202,
        opt={"role": "write"},
        request_max_body_size=None,
        operation_class=UploadBody,
        summary="Upload 1 to 100 pictures",
        response_description="At least one file was accepted; each is a job, or an error.",
        responses={
            **documented(TooLargeError, UnsupportedError, BrokenError),
            200: examples.spec(schemas.Accepted, "With `wait`: all have ended.", examples.ENDED),
        },
    )
    async def upload(
        self,
        request: Requested,
        services: Wired,
        caller: Who,
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
                description="Per tenant, kept 24 h: the same key and content answers the same ids,"
                " with `Idempotent-Replay: true`; other content answers 422.",
            ),
        ] = None,
    ) -> Response[schemas.Accepted]:
        """Take pictures in. A 202 is a promise: what it names is never lost.

        At once only size, signature, header, declared pixels and frames are looked at; a fault
        inside the pixels is the job's. A file that is refused stands in its place as an error and
        fails no other one. Where none is accepted: 413 if all are too large, 415 if all are of
        formats that are not read, else 422.
        """
        _check_key(key)
        number("wait", wait)
        limits = services.settings
        bounds = Bounds(limits.max_files, int(limits.max_bytes), fields.FORM)
        async with received(request, limits.data / "spool", bounds) as form:
            accepted = await asyncio.to_thread(_accept, services, caller, form, key)
        return await _answer(services, caller, accepted, form.names, wait)

    @get(
        opt={"role": "write"},
        summary="List records",
        responses=documented(),
        sync_to_thread=True,
    )
    def pictures(
        self,
        *,
        services: Wired,
        caller: Who,
        category: Annotated[str | None, QueryParameter()] = None,
        tag: Annotated[str | None, QueryParameter()] = None,
        verdict: Annotated[Kind | None, QueryParameter()] = None,
        decision: Annotated[Value | None, QueryParameter()] = None,
        owner_id: Annotated[str | None, QueryParameter()] = None,
        external_id: Annotated[str | None, QueryParameter()] = None,
        sha256: Annotated[str | None, QueryParameter(description="Of the bytes, in hex.")] = None,
        original_id: Annotated[
            str | None, QueryParameter(description="Copies of this record.")
        ] = None,
        accepted_after: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
        accepted_before: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> schemas.Images:
        """Settled pictures that pass every filter, newest first."""
        filters = Filters(
            category=category,
            tag=tag,
            verdict=verdict,
            decision=decision,
            owner_id=owner_id,
            external_id=external_id,
            sha256=None if sha256 is None else sha256.lower(),
            original_id=original_id,
            accepted_after=_time("accepted_after", accepted_after),
            accepted_before=_time("accepted_before", accepted_before),
        )
        return rendering.images(services.reader.pictures(caller.tenant, filters, limit, cursor))

    @delete(
        status_code=200,
        opt={"role": "write"},
        summary="Delete all of an owner's pictures",
        response_description="Every delete is settled.",
        responses={
            **documented(),
            202: examples.spec(schemas.Erased, "Accepted; `waiting` of them are not settled yet."),
        },
    )
    async def erase(
        self,
        services: Wired,
        caller: Who,
        owner_id: Annotated[str, QueryParameter(min_length=1, max_length=200)],
    ) -> Response[schemas.Erased]:
        """Delete every picture of an owner: settled, still waiting, or set aside as failed.

        One operation a picture. What is not settled within ten seconds follows: the answer is 202
        then, and the same call again tells how far it has come.
        """
        erased = await operations.erase(services, caller, owner_id)
        if erased.waiting:
            headers = {"Retry-After": str(RETRY_SOON)}
            return Response(erased, status_code=202, headers=headers)
        return Response(erased)

    @get(
        "/{image_id:str}",
        opt={"role": "write"},
        summary="One record",
        responses={
            **documented(MissingError, GoneError),
            304: examples.empty("The ETag in If-None-Match still holds."),
        },
        sync_to_thread=True,
    )
    def picture(
        self, services: Wired, caller: Who, image_id: ImageId, held: IfNoneMatch = None
    ) -> Response[schemas.Image]:
        """The record. Not settled yet: 404 with the `job`. Deleted: 410."""
        return _record(services.reader.record(caller.tenant, image_id), held)

    @patch(
        "/{image_id:str}",
        opt={"role": "write"},
        operation_class=PatchBody,
        summary="Change what is said of a picture",
        responses=documented(MissingError, GoneError, PreconditionError, TooLargeError),
    )
    async def edit(
        self,
        request: Requested,
        services: Wired,
        caller: Who,
        image_id: ImageId,
        if_match: IfMatch = None,
    ) -> Response[schemas.Image]:
        """JSON merge patch (RFC 7396): null takes a field away, `metadata` is merged within.

        Editable are title, description, category, tags, owner_id, external_id, source_url and
        metadata; any other field answers 400.
        """
        body = await request.body()
        return _record(await operations.edit(services, caller, image_id, if_match, body))

    @delete(
        "/{image_id:str}",
        opt={"role": "write"},
        summary="Delete a picture",
        responses=documented(MissingError, GoneError, PreconditionError),
    )
    async def remove(
        self, services: Wired, caller: Who, image_id: ImageId, if_match: IfMatch = None
    ) -> None:
        """Record, bytes and all that was made of them, also of an upload still waiting.

        Its copies are judged anew. Again: 410.
        """
        await operations.delete(services, caller, image_id, if_match)

    @post(
        "/{image_id:str}/purge",
        status_code=200,
        opt={"role": "moderate"},
        summary="Purge the bytes of a picture",
        responses=documented(MissingError, GoneError, PreconditionError),
    )
    async def purge(
        self, services: Wired, caller: Who, image_id: ImageId, if_match: IfMatch = None
    ) -> Response[schemas.Image]:
        """Take bytes and previews away, and keep the fingerprint: it is known if it comes back."""
        return _record(await operations.change(services, caller, "purge", image_id, if_match))

    @put(
        "/{image_id:str}/decision",
        opt={"role": "moderate"},
        operation_class=DecisionBody,
        summary="Decide what may be done with a picture",
        responses=documented(MissingError, GoneError, PreconditionError, TooLargeError),
    )
    async def decide(
        self,
        request: Requested,
        services: Wired,
        caller: Who,
        image_id: ImageId,
        if_match: IfMatch = None,
    ) -> Response[schemas.Image]:
        """A person's decision; on an original it holds for its copies without one of their own."""
        value, reason = fields.decided(await request.body())
        seen = await operations.change(
            services, caller, "decide", image_id, if_match, value=value, reason=reason
        )
        return _record(seen)

    @get(
        "/{image_id:str}/similar",
        opt={"role": "write"},
        summary="Pictures near one",
        responses=documented(MissingError, GoneError, ConflictError, EmbedderUnavailableError),
        sync_to_thread=True,
    )
    def similar(
        self,
        *,
        services: Wired,
        caller: Who,
        image_id: ImageId,
        space: Annotated[
            str, QueryParameter(description="`visual` or `caption`, or the id of an active space.")
        ] = "visual",
        limit: Limit = 50,
        min_similarity: Annotated[
            float, QueryParameter(ge=-1, le=1, description="Least cosine.")
        ] = -1.0,
    ) -> schemas.Neighbours:
        """Neighbours in an embedding space, best first, itself left out.

        A copy asks by its original's vector. 409 where neither has one; 503 without a model.
        """
        space_id = _space(services, space)
        least = number("min_similarity", min_similarity)
        found = services.reader.similar(caller.tenant, image_id, space_id, limit, least)
        return rendering.neighbours(space_id, found)

    @get(
        "/{image_id:str}/duplicates",
        opt={"role": "write"},
        summary="The star around an original",
        responses=documented(MissingError, GoneError),
        sync_to_thread=True,
    )
    def duplicates(
        self,
        services: Wired,
        caller: Who,
        image_id: ImageId,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> schemas.Star:
        """The original of a picture (itself, where it is no copy) and its copies, newest first."""
        return rendering.star(services.reader.star(caller.tenant, image_id, limit, cursor))


def _accept(services: Services, caller: Caller, form: Form, key: str | None) -> Accepted:
    if not form.files:
        raise MalformedError("send 1 to 100 files as parts named file", field="file")
    told, keep = fields.of_form(form.texts)
    accepted = services.acceptor.uploads(caller.tenant, form.files, told, keep_bytes=keep, key=key)
    errors = [item for item in accepted.items if isinstance(item, SeenitError)]
    if len(errors) == len(accepted.items):
        raise FullerError(
            _whole(errors),
            errors=[
                rendering.problem(error, filename=name)
                for error, name in zip(errors, form.names, strict=True)
            ],
        )
    return accepted


async def _answer(
    services: Services,
    caller: Caller,
    accepted: Accepted,
    names: Sequence[str | None],
    wait: float,
) -> Response[schemas.Accepted]:
    """Ids at once; how each job stands, where the caller waits or asks again."""
    ids = [item.job_id for item in accepted.items if isinstance(item, Job)]
    ended = bool(wait) and await services.waiter.ended(caller.tenant, ids, wait)
    now: dict[str, schemas.Item] = {}
    if wait or accepted.replayed:
        now = await asyncio.to_thread(_now, services, caller.tenant, ids, in_full=bool(wait))
    items = [
        rendering.refused(item, name)
        if isinstance(item, SeenitError)
        else now.get(item.job_id) or rendering.queued(item)
        for item, name in zip(accepted.items, names, strict=True)
    ]
    return Response(
        schemas.Accepted(items),
        status_code=200 if ended else 202,
        headers={"Idempotent-Replay": "true"} if accepted.replayed else {},
    )


def _now(
    services: Services, tenant: str, ids: Sequence[str], *, in_full: bool
) -> dict[str, schemas.Item]:
    jobs = [job for job in services.reader.jobs(tenant, ids) if job is not None]
    if in_full:
        return {
            told.job.job_id: rendering.ended(told) for told in services.reader.told(tenant, jobs)
        }
    return {job.job_id: rendering.queued(job) for job in jobs}


def _record(seen: Seen, held: str | None = None) -> Response[schemas.Image]:
    state = seen.record.state
    below = f"-{seen.original.revision}" if seen.original is not None else ""
    etag = f'"{state.revision}{below}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if holds(held, etag):
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(rendering.image(seen), headers=headers)


def _whole(errors: Sequence[SeenitError]) -> SeenitError:
    """One error for a request of which no file was accepted."""
    if len(errors) == 1:
        return errors[0]
    for kind in (TooLargeError, UnsupportedError):
        if all(isinstance(error, kind) for error in errors):
            return kind(f"none of {len(errors)} files was accepted: {errors[0].detail}")
    return BrokenError(f"none of {len(errors)} files was accepted; `errors` says why")


def _space(services: Services, name: str) -> str:
    """The id of an active space. Raise EmbedderUnavailableError, MalformedError, ConflictError."""
    if name == "caption" or name.startswith("caption-"):
        raise EmbedderUnavailableError("there is no caption model", field="space")
    if name != "visual" and not name.startswith("visual-"):
        raise MalformedError("space is visual or caption", field="space")
    if services.visual.absent is not None:
        raise EmbedderUnavailableError(services.visual.absent, field="space")
    active = services.visual.space.space_id
    if name not in ("visual", active):
        raise ConflictError(f"the active visual space is {active}", field="space")
    return active


def _time(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return clock.stamp(clock.parse(value))
    except (ValueError, OverflowError):
        raise MalformedError(f"{name} is no RFC 3339 time with a zone", field=name) from None


def _check_key(key: str | None) -> None:
    if key is not None and not (1 <= len(key) <= KEY and key.isprintable()):
        raise MalformedError(
            f"Idempotency-Key has 1 to {KEY} printable characters", field="Idempotency-Key"
        )
