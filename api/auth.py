"""Who calls: an API key opens one tenant to one role.

`write` uploads, reads, checks, changes, deletes and tries again; `moderate` also decides and
purges; `admin` also reads the metrics, which are those of the whole service.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement

from adapters.settings import Grant, Role
from core.errors import ForbiddenError, MalformedError, UnauthorizedError

RANK: dict[Role, int] = {"write": 0, "moderate": 1, "admin": 2}

KEYED: list[SecurityRequirement] = [{"key": []}]
"""Routes that take a key, for the reference."""

Connection = ASGIConnection[Any, Any, Any, Any]


class Caller(NamedTuple):
    """Whose pictures this request is about, and what it may do with them."""

    tenant: str
    role: Role


class Guard:
    """Checks the key, the role a route needs (`opt["role"]`), and the names of its parameters."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = grants

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Raise UnauthorizedError, ForbiddenError, MalformedError."""
        needed: Role | None = handler.opt.get("role")
        if needed is None:
            return
        caller = self._caller(connection.headers.get("authorization"))
        structlog.contextvars.bind_contextvars(tenant=caller.tenant)
        if RANK[caller.role] < RANK[needed]:
            raise ForbiddenError(f"this takes a key of role {needed}, and yours has {caller.role}")
        _check_names(connection, handler)
        connection.scope["auth"] = caller

    def _caller(self, header: str | None) -> Caller:
        if not self._grants:
            return Caller("default", "admin")
        scheme, _, key = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise UnauthorizedError("send Authorization: Bearer KEY", field="Authorization")
        mine = hashlib.sha256(key.strip().encode()).hexdigest()
        grant = None
        for digest, candidate in self._grants.items():  # all of them: time tells nothing
            if hmac.compare_digest(digest, mine):
                grant = candidate
        if grant is None:
            raise UnauthorizedError("this key is not known", field="Authorization")
        return Caller(grant.tenant, grant.role)


async def caller_of(request: Connection) -> Caller:
    """The caller that the guard let in."""
    caller: Caller = request.scope["auth"]
    return caller


def _check_names(connection: Connection, handler: BaseRouteHandler) -> None:
    """A mistyped filter would otherwise be ignored and answer with everything."""
    for name in connection.query_params:
        if name not in handler.parsed_fn_signature.parameters:
            raise MalformedError(f"there is no parameter {name!r:.80}", field=name[:80])
