"""The outermost middleware: request ids, the access log, request metrics, security headers.

A request starts with an empty log context, and is refused here if its end is ambiguous.
"""

from __future__ import annotations

import re
import time

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from uuid_utils import uuid7

from api import framing
from api.problems import METHODS, refusing
from api.routes.metrics import MetricsRoutes
from core.errors import MalformedError, RateLimitedError

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""Request ids that a caller may choose; others are replaced, as ids go to logs and headers."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers added unless the answer has its own. No CORS: pages of other sites may not read."""
QUIET = ("/health", "/metrics")

logger = structlog.get_logger("api.access")


class EdgeMiddleware:
    """A wrapper of the whole app, unknown paths included."""

    def __init__(self, app: ASGIApp, metrics: MetricsRoutes) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with its id, headers, log line and metrics."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        named = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id = next(filter(REQUEST_ID.fullmatch, named), None) or str(uuid7()).encode()
        status = 500
        started = time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [(bytes(k).lower(), bytes(v)) for k, v in message.get("headers", ())]
                names = {name for name, _ in headers}
                headers += [(name, value) for name, value in HEADERS if name not in names]
                message["headers"] = [*headers, (b"x-request-id", request_id)]
            await send(message)

        fault = framing.fault(scope["headers"], scope["http_version"])
        app = self._app if fault is None else refusing(MalformedError(fault))
        # An app mounted elsewhere may hand over its own state.
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        # A server may begin a request in the context of the one before it on the connection.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await app(scope, receive, sent)
        finally:
            self._record(scope, status, time.perf_counter() - started)
            structlog.contextvars.clear_contextvars()

    def _record(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """Count an answer, and write its access log line."""
        route = str(scope.get("path_template") or "unmatched")
        problem = scope["state"].get("problem")
        params = scope.get("path_params") or {}
        # a caller may send any word as a method, and each would be a new time series
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.answered(method, route, status, seconds, problem)
        write = logger.debug if route.startswith(QUIET) else logger.info
        if problem == RateLimitedError.type:
            write = logger.warning  # the log takes ten of these a second, so that no flood fills it
        write(
            "answered",
            method=method,
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            **({} if problem is None else {"problem": problem}),
            **{name: str(params[name]) for name in ("job_id", "image_id") if name in params},
        )
