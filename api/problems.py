"""Rendering of every error as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import structlog
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Receive,
    Scope,
    Send,
)

from api.request_bodies import BODY
from api.schemas import render
from api.schemas.images import Problem
from core import validation
from core.errors import (
    BrokenError,
    CorruptError,
    DecoderKilledError,
    ForbiddenError,
    IndexUnavailableError,
    LogCorruptError,
    MalformedError,
    MissingError,
    PendingError,
    RateLimitedError,
    SeenitError,
    StoreUnavailableError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedError,
    kinds,
)

MEDIA_TYPE = "application/problem+json"
MISSING = re.compile(r"Missing required \w+ parameter '([^']+)'")
"""Litestar 2's message for a missing parameter."""
BOUNDS = ("ge", "le", "min_length", "max_length")
"""Bounds that a parameter's annotation may set."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

logger = structlog.get_logger(__name__)

Requested = Request[Any, Any, State]


class BusyError(UnavailableError):
    """Too many requests of this kind at once: retry later."""

    type = "busy"
    title = "Too much at once"
    after = PendingError.after


class MethodError(SeenitError):
    """A method that the path does not have; `Allow` names those that it has."""

    type = "method-not-allowed"
    title = "Method not allowed"
    status = 405


ALWAYS = (
    MalformedError,
    UnauthorizedError,
    ForbiddenError,
    RateLimitedError,
    UnavailableError,
    LogCorruptError,
    CorruptError,
)
"""Errors of every route that takes a key."""
FILE_ERRORS = (TooLargeError, UnsupportedError, BrokenError, DecoderKilledError, BusyError)
"""Errors of routes that decode a file while the caller waits."""


class DetailedError(SeenitError):
    """An error with further members: `errors`, one for each file, or `parts` and their states."""

    def __init__(self, whole: SeenitError, **more: object) -> None:
        super().__init__(whole.detail, field=whole.field)
        self.whole = whole
        self.more = more


def told(request: Requested, error: SeenitError) -> Response[Problem]:
    """Answer a SeenitError; log it if the server is at fault, or its store or index is away."""
    whole = error.whole if isinstance(error, DetailedError) else error
    if whole.status >= 500 and not whole.retryable:  # noqa: PLR2004 - server errors
        logger.error("request_failed", error=type(whole).__name__, detail=whole.detail)
    elif isinstance(whole, (StoreUnavailableError, IndexUnavailableError)):
        logger.warning("part_unavailable", part=whole.type, reason=whole.detail)
    return _answer(request, error)


def refused(request: Requested, error: HTTPException) -> Response[Problem]:
    """Answer an error of the framework: a wrong path, method, parameter or body."""
    answer = _answer(request, _ours(request, error))
    if isinstance(error, MethodNotAllowedException):
        answer.set_header("Allow", ", ".join(_allowed(request)))
    return answer


def crashed(request: Requested, error: Exception) -> Response[Problem]:
    """Answer any other exception without its details, which go to the log."""
    logger.error("request_crashed", exc_info=error)
    return _answer(
        request, SeenitError("the service failed; its log has the details under this request_id")
    )


def refusing(error: SeenitError) -> ASGIApp:
    """Return an app that answers an error without reading the body, and closes the connection."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        scope["state"]["problem"] = error.type
        request_id = scope["state"].get("request_id")
        problem = msgspec.structs.replace(render.problem(error), request_id=request_id)
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        start = HTTPResponseStartEvent(
            type="http.response.start", status=error.status, headers=headers
        )
        await send(start)
        await send(HTTPResponseBodyEvent(type="http.response.body", body=body, more_body=False))

    return refuse


def documented(*kinds: type[SeenitError]) -> dict[int, ResponseSpec]:
    """Return the response specs of a route's errors, with those of every route with a key."""
    return errors(*ALWAYS, *kinds)


def errors(*kinds: type[SeenitError]) -> dict[int, ResponseSpec]:
    """Return the response specs of a route's errors, by status."""
    specs: dict[int, ResponseSpec] = {}
    for status in sorted({kind.status for kind in kinds}):
        mine = [kind for kind in kinds if kind.status == status]
        specs[status] = ResponseSpec(
            Problem,
            description=" ".join(_meaning(kind) for kind in mine),
            media_type=MEDIA_TYPE,
            examples=[_example(kind) for kind in mine],
            generate_examples=False,
        )
    return specs


def _answer(request: Requested, error: SeenitError) -> Response[Problem]:
    whole, more = (error.whole, error.more) if isinstance(error, DetailedError) else (error, {})
    state = request.scope.get("state", {})
    state["problem"] = whole.type  # counted and logged by EdgeMiddleware
    request_id = state.get("request_id")
    problem = msgspec.structs.replace(render.problem(whole), request_id=request_id, **more)
    return Response(
        problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=_headers(whole)
    )


def _ours(request: Requested, error: HTTPException) -> SeenitError:
    if isinstance(error, MethodNotAllowedException):
        return MethodError(
            f"{request.method:.20} is not allowed here; the Allow header lists what is"
        )
    if isinstance(error, ValidationException):
        return _named(request, error)
    if error.status_code == TooLargeError.status:
        return TooLargeError(f"the body is too large (limit {BODY} bytes)")
    for kind in kinds():
        if kind.status == error.status_code:
            detail = (
                "there is nothing at this path; /schema lists the paths"
                if kind is MissingError
                else error.detail
            )
            return kind(detail)
    return MalformedError(error.detail)


def _named(request: Requested, error: ValidationException) -> MalformedError:
    """Return the error for a parameter, with its name and what it must be."""
    extra = error.extra if isinstance(error.extra, list) else []
    for one in extra:
        if isinstance(one, dict) and one.get("key"):
            return _mismatch(request, str(one["key"]))
    named = MISSING.search(error.detail)
    return MalformedError(error.detail, field=named.group(1) if named else None)


def _mismatch(request: Requested, key: str) -> MalformedError:
    parameters = request.scope["route_handler"].parsed_fn_signature.parameters
    for name, one in parameters.items():
        declared = one.kwarg_definition
        if key == (getattr(declared, "name", None) or name):
            bounds = {bound: getattr(declared, bound, None) for bound in BOUNDS}
            limits = msgspec.Meta(**{k: v for k, v in bounds.items() if v is not None})
            value = request.query_params.get(key, request.headers.get(key))
            return validation.mismatch(key, value, Annotated[one.annotation, limits])
    return MalformedError(f"{key} has a wrong type or value", field=key)


def _headers(error: SeenitError) -> dict[str, str]:
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": 'Bearer realm="seenit"'}
    if isinstance(error, UnavailableError | LogCorruptError | RateLimitedError):
        return {"Retry-After": str(error.after)}
    return {}


def _allowed(request: Requested) -> Iterator[str]:
    router = request.app.asgi_router
    for method in METHODS:
        try:
            router.handle_routing(path=request.scope["path"].rstrip("/") or "/", method=method)
        except HTTPException:
            continue
        yield method


def _meaning(kind: type[SeenitError]) -> str:
    return " ".join((kind.__doc__ or kind.title).split())


def _example(kind: type[SeenitError]) -> Example:
    return Example(
        id=kind.type,
        summary=kind.title,
        value={
            "type": f"/problems/{kind.type}",
            "title": kind.title,
            "status": kind.status,
            "detail": _meaning(kind),
        },
    )


@get(
    "/problems/{kind:str}",
    media_type=MediaType.TEXT,
    opt={"role": None},
    summary="What a problem type means",
    responses=errors(MalformedError, MissingError),
    tags=["health"],
)
async def get_problem_type(kind: FromPath[str]) -> str:
    """Return the page that `type` of an error points at."""
    for known in kinds():
        if known.type == kind:
            return f"{known.status} {known.title}\n\n{_meaning(known)}\n"
    raise MissingError(f"there is no problem type {kind!r:.80}")
