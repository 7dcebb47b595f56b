"""HTTP server of `seenit up` and `seenit api`, and its listening socket."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import click
import uvicorn

from adapters.settings import Settings
from cli.server.connection_limits import ConnectionLimits
from cli.server.http_protocol import HTTPProtocol
from core.errors import SettingsError

GRACE_SECONDS = 10
"""Seconds that open requests may take to end after a stop signal."""
_QUEUE = 2048
"""Connections that the kernel holds until they are accepted."""
_ACCEPTED = 64
"""Connections accepted at a time, before requests are read again: the request of one caller is
read before a flood of others could take its place."""
KEEP_ALIVE_SECONDS = 75
"""Seconds that an idle connection is kept; longer than clients keep theirs (httpx 5, Node 5, nginx
and AWS load balancers 60), for who closes first must be the one that sends: a request on its way
while the server closes is lost, and a POST may not be repeated blindly."""


class HTTPServer(uvicorn.Server):
    """A uvicorn server that reports when it listens."""

    def __init__(
        self, app: object, listening: Callable[[], None], limits: ConnectionLimits
    ) -> None:
        protocol = partial(HTTPProtocol, limits)
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # uvicorn's own union of ASGI types
            log_config=None,
            access_log=False,
            server_header=False,
            http=protocol,  # type: ignore[arg-type]  # whatever makes a protocol will do
            ws="none",
            proxy_headers=False,  # api/forwarding.py needs the true peer
            backlog=_ACCEPTED,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self._listening = listening
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then say so."""
        await super().startup(sockets)
        for bound in sockets or ():
            bound.listen(_QUEUE)  # asyncio has set it to `backlog`
        if self.started:
            self._listening()

    async def on_tick(self, counter: int) -> bool:
        """Look for slow connections, about once a second."""
        if counter % 10 == 0:
            self._limits.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def serve(app: object, listener: socket.socket, limits: ConnectionLimits, *, as_json: bool) -> None:
    """Answer requests until Ctrl-C or SIGTERM; then those that are open are finished."""
    where = url(listener)

    def listening() -> None:
        click.echo(json.dumps({"url": where}) if as_json else f"Seenit listens on {where}")

    with suppress(KeyboardInterrupt):  # told again once the server has stopped
        HTTPServer(app, listening, limits).run(sockets=[listener])


def connection_limits(read: Settings) -> ConnectionLimits:
    """Return the limits that are set, within the files that this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS has a lower bound of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    most = read.connections if soft == resource.RLIM_INFINITY else min(read.connections, soft // 2)
    return ConnectionLimits(most, read.connections_per_address)


def stoppable() -> None:
    """Take SIGTERM as Ctrl-C: what is open is closed on the way out."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def listener(host: str, port: int) -> socket.socket:
    """Bind before anything is built, so that a taken port costs nothing. Raise SettingsError.

    The socket names TCP as its protocol: asyncio sets TCP_NODELAY only on connections that do, and
    without it each answer on a kept-alive connection waits for the client's delayed ACK (40 ms).
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        created = socket.create_server((host, port), family=family, backlog=_QUEUE)
        return socket.socket(
            family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=created.detach()
        )
    except OSError as error:
        # create_server adds the address to the reason, gaierror has a number of its own
        number = None if isinstance(error, socket.gaierror) else error.errno
        reason = (error.strerror or str(error)) if number is None else os.strerror(number)
        raise SettingsError(f"cannot listen on {host}:{port}: {reason.lower()}") from None


def url(bound: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
