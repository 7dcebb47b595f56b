"""Authentication: an API key opens one tenant to one role.

`read` searches, checks, builds prompts, and sees pictures whose decision and original's are
`allow`; `write` also sees all others, lists, jobs and counts, and uploads, edits, deletes and
retries; `moderate` also decides, purges, holds and searches pictures that are not allowed; `admin`
also reads the metrics and starts administrative tasks of the tenant. `operator` opens no tenant:
it reads the metrics, the state of the service and any tenant's jobs, and starts tasks of the
whole service.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement

from adapters.api_keys import TENANT, UNLIMITED, RateLimit, Role
from adapters.key_ring import KeyRing
from adapters.service_address import PREFIX, LocalKey
from api.forwarding import TrustedProxies, sign
from api.rate_limits import GuessThrottle, KeyLimits
from core.client_network import client_network
from core.errors import ForbiddenError, MalformedError, UnauthorizedError
from core.filters import SHOWN
from core.storage.signed_urls import URLSigner

RANK: dict[Role, int] = {"read": 0, "write": 1, "moderate": 2, "admin": 3}
"""Roles that open a tenant; each may do what those before it may."""
OPEN = {"role": None}
"""Options of a route that takes no key."""

KEYED: list[SecurityRequirement] = [{"key": []}]
"""Security requirement of routes that take a key, for the OpenAPI document."""

_PORT = re.compile(r":\d+$")

Connection = ASGIConnection[Any, Any, Any, Any]


class Caller(NamedTuple):
    """The tenant that a request is about, and the role that it is made in."""

    tenant: str
    role: Role
    whole: bool = False
    """Whether tasks of the whole service are open: to an operator, to an admin if all keys open
    one tenant, and on the service's own machine."""

    @property
    def shown_only(self) -> bool:
        """Whether the caller sees only pictures whose decision and original's are `allow`."""
        return self.role == "read"


class Guard:
    """Check of the key, the role that a route needs (`opt["role"]`), and its parameter names.

    A route without that option fails; one that takes no key has None there. With
    `opt["operator"]` a route also takes an operator's key, with `opt["signed"]` a signature, for
    the picture that it was made for.
    """

    def __init__(
        self,
        keys: KeyRing,
        signer: URLSigner,
        *,
        open_to_all: bool = False,
        proxies: TrustedProxies = TrustedProxies(()),  # noqa: B008 - a value that never changes
        public_url: str = "",
        local: LocalKey | None = None,
        limit: RateLimit = UNLIMITED,
    ) -> None:
        """Accept `local`, the data folder's key, for any tenant; others have `limit` by default."""
        self._keys = keys
        self._signer = signer
        self._open_to_all = open_to_all
        self._proxies = proxies
        self._public_url = public_url
        self._local = local
        self._limit = limit
        self._limits = KeyLimits()
        self._guesses = GuessThrottle()

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let the caller in.

        Raise UnauthorizedError, ForbiddenError, MalformedError, RateLimitedError.
        """
        if connection.scope.get("method") == "OPTIONS":
            return  # the framework's own, which names the methods of the path
        needed: Role | None = handler.opt["role"]
        if needed is None:
            return
        params = connection.path_params  # ids are UUIDs, equal in either case
        params |= {name: params[name].lower() for name in ("image_id", "job_id") if name in params}
        if handler.opt.get("signed") and "signature" in connection.query_params:
            _check_names(connection, handler)
            caller = self._signed(connection)
            structlog.contextvars.bind_contextvars(tenant=caller.tenant)
        else:
            caller = self._caller(connection)
            structlog.contextvars.bind_contextvars(tenant=caller.tenant)
            caller = _allowed(caller, needed, connection, handler)
        connection.scope["auth"] = caller

    def _caller(self, connection: Connection) -> Caller:
        """Return the caller that a key names, or the machine's own without keys."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else ""
        try:
            if key.startswith(PREFIX):
                return self._local_caller(connection, key)
            if self._keys.required:
                return self._keyed_caller(key)
        except UnauthorizedError:
            if key:
                self._guesses.count(client_network(self._proxies.client(connection.scope)))
            raise
        self._check_own_machine(connection)
        return Caller("default", "admin", whole=True)

    def _local_caller(self, connection: Connection, key: str) -> Caller:
        """Return the caller that sends the key of the data folder.

        A wrong one is refused even if the service takes no keys: it names a tenant, and the
        request would be answered for `default`. Raise UnauthorizedError, ForbiddenError.
        """
        tenant = None if self._local is None else self._local.tenant(key)
        if tenant is None:
            raise UnauthorizedError(
                "this data folder key is from another start of the service, or of another folder: "
                "run the command again",
                field="Authorization",
            )
        check_same_machine(connection)
        return Caller(tenant, "admin", whole=True)

    def _check_own_machine(self, connection: Connection) -> None:
        """Raise ForbiddenError for a request from another machine, or from a page of another site.

        Such a page could otherwise post forms here, or reach the service by a host name that it
        points at this machine (DNS rebinding): so the address listened on must be a loopback one,
        `Host` a plain address, localhost or the host of SEENIT_PUBLIC_URL, and `Origin`, if sent,
        the service itself. No untrusted proxy may have passed the request on, not even to a service
        that is open to all.
        """
        header = sign(connection.scope["headers"])
        if header is not None and not self._proxies.trust(connection.scope):
            raise ForbiddenError(
                f"SEENIT_API_KEYS is not set, and {header} shows that a proxy passed this request "
                "on, so it may come from anywhere. Set SEENIT_API_KEYS, or name the proxy's "
                "address in SEENIT_TRUSTED_PROXY",
                field=header,
            )
        if self._open_to_all:
            return
        server = str((connection.scope.get("server") or ("", 0))[0])
        host = connection.headers.get("host", "")
        name = _PORT.sub("", host)
        origin = connection.headers.get("origin")
        address, listening = _address(name.strip("[]")), _address(server)
        public = urlsplit(self._public_url)
        known = ("localhost", server.lower(), public.hostname)
        own = (host, public.netloc) if public.netloc else (host,)
        if (
            (listening is not None and not listening.is_loopback)
            or (address is None and name.lower() not in known)
            or (origin is not None and origin.partition("://")[2] not in own)
        ):
            raise ForbiddenError(
                "SEENIT_API_KEYS is not set, so this service answers its own machine alone: set it "
                "to serve others"
            )

    def _signed(self, connection: Connection) -> Caller:
        """Return the tenant that signed, as a reader of this picture. Raise ForbiddenError."""
        query = connection.query_params
        tenant = query.get("tenant", "")
        self._signer.check(
            tenant,
            connection.path_params["image_id"],
            query.get("size", ""),
            expires=query.get("expires", ""),
            signature=query["signature"],
        )
        return Caller(tenant, "read")

    def _keyed_caller(self, key: str) -> Caller:
        if not key:
            raise UnauthorizedError("send Authorization: Bearer KEY", field="Authorization")
        # The time that a look-up takes reveals digests at most, and no key.
        digest = hashlib.sha256(key.encode()).hexdigest()
        grant = self._keys.current().get(digest)
        if grant is None:
            raise UnauthorizedError(
                "this key is not one of the service's (SEENIT_API_KEYS, SEENIT_API_KEYS_FILE)",
                field="Authorization",
            )
        named = {"key": grant.name} if grant.name else {}
        structlog.contextvars.bind_contextvars(tenant=grant.tenant, **named)
        self._limits.take(digest, grant.limit or self._limit)
        whole = grant.role == "operator" or (grant.role == "admin" and self._keys.one_tenant)
        return Caller(grant.tenant, grant.role, whole=whole)


async def caller_of(request: Connection) -> Caller:
    """Return the caller that the guard let in."""
    caller: Caller = request.scope["auth"]
    return caller


def check_decisions(caller: Caller, decisions: Collection[str], field: str) -> None:
    """Raise ForbiddenError if the caller may not see pictures of these decisions."""
    hidden = ", ".join(one for one in decisions if one not in SHOWN)
    if hidden and RANK[caller.role] < RANK["moderate"]:
        raise ForbiddenError(
            f"pictures of decision {hidden} take a key of role moderate or admin, "
            f"and yours has {caller.role}; GET /v1/images lists them",
            field=field,
        )


def _allowed(
    caller: Caller, needed: Role, connection: Connection, handler: BaseRouteHandler
) -> Caller:
    """Return the caller, an operator for the tenant that the request names.

    Raise ForbiddenError if the role does not allow the request, MalformedError.
    """
    operated, operator = handler.opt.get("operator", False), caller.role == "operator"
    if needed == "operator":
        may = caller.whole
    else:
        may = operated if operator else RANK[caller.role] >= RANK[needed]
    if not may:
        raise ForbiddenError(f"this takes a key of role {needed}, and yours has {caller.role}")
    _check_names(connection, handler)
    if not operated or "tenant" not in handler.parsed_fn_signature.parameters:
        return caller
    named = connection.query_params.get("tenant")
    if not operator:
        if named not in (None, caller.tenant):
            raise ForbiddenError("another tenant takes a key of role operator", field="tenant")
        return caller
    if named is None or not TENANT.fullmatch(named):
        raise MalformedError(
            "name the tenant with a key of role operator: 1 to 64 of a-z, 0-9 and -", field="tenant"
        )
    return caller._replace(tenant=named)


def _check_names(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raise MalformedError for an unknown parameter (a typo in a filter) or a repeated one."""
    for name, values in connection.query_params.dict().items():
        if name not in handler.parsed_fn_signature.parameters:
            raise MalformedError(
                f"there is no parameter {name!r:.80}; /schema lists those of every route",
                field=name[:80],
            )
        if len(values) > 1:
            raise MalformedError(f"{name} is sent {len(values)} times: send it once", field=name)


def check_same_machine(connection: Connection) -> None:
    """Raise ForbiddenError for a request of another machine, or one that a proxy passed on.

    The peer's address has to be a loopback one, or the very address that it connected to: no packet
    of another machine carries one of our own addresses as its sender and has its connection
    answered.
    """
    client, server = connection.scope.get("client"), connection.scope.get("server")
    peer = _address(client[0]) if client and client[1] else None  # no port: a server rewrote it
    own = _address(str(server[0])) if server else None
    near = peer is not None and (peer.is_loopback or peer == own)
    if not near or sign(connection.scope["headers"]) is not None:
        raise ForbiddenError(
            "the key of the data folder is valid only on the service's own machine, without a "
            "proxy; use one of SEENIT_API_KEYS",
            field="Authorization",
        )


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
