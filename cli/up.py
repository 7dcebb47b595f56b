"""`seenit up`: API and worker in one process; also the service that other commands bring along."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click
import uvicorn
from pydantic import SecretStr

from adapters import settings, wiring
from adapters.settings import Settings
from adapters.wiring import Services
from api.app import create_app
from cli import logs
from cli.client import Client
from core.errors import SettingsError, UnavailableError
from core.types import SpaceKind
from worker.engine import Engine

GRACE_SECONDS = 10
"""How long open requests may take to end once a stop was asked for."""
_START_SECONDS = 60.0


class Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then say so."""
        await super().startup(sockets)
        if self.started:
            self._listening()


@click.command()
@click.option("--host", help="Address to listen on (SEENIT_HOST).")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (SEENIT_PORT).")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model: an id, a folder, or none (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON line.")
def command(
    host: str | None, port: int | None, data: str | None, model: str | None, *, as_json: bool
) -> None:
    """Run the service: API and worker in one process, until it is told to stop.

    Ctrl-C or SIGTERM ends it gracefully: open requests and the batch in hand are finished, and
    what still waits is taken up at the next start.
    """
    read = settings.load(host=host, port=port, data=data, model=model)
    read.check_address()
    logs.log_to(read)
    signal.signal(signal.SIGTERM, _interrupt)
    with _listener(read.host, read.port) as listener:
        where = _url(listener)

        def listening() -> None:
            click.echo(json.dumps({"url": where}) if as_json else f"Seenit listens on {where}")

        with holding(read) as services:
            server = Server(_config(create_app(services)), listening)
            with suppress(KeyboardInterrupt):  # told again once the server has stopped
                server.run(sockets=[listener])


@contextmanager
def holding(read: Settings, *, ahead: bool = True) -> Iterator[Services]:
    """Everything connected, and an engine that runs where no other process holds the folder.

    `ahead`: its models are loaded also while another one does.
    """
    services = wiring.build(read)
    try:
        engine = Engine(services, ahead=ahead)
        engine.start()
        try:
            yield services
        finally:
            engine.close()
    finally:
        services.close()


@contextmanager
def reading(read: Settings, tenant: str, asked: Sequence[SpaceKind]) -> Iterator[Services]:
    """Everything connected and nothing running: records are read, none is settled.

    The models of the spaces that are `asked` are loaded by then, or known to be absent.
    """
    services = wiring.build(read)
    try:
        models = services.models
        for kind in asked:
            embedder = models.visual(tenant) if kind == "visual" else models.caption(tenant)
            embedder.load()
        yield services
    finally:
        services.close()


@contextmanager
def beside(
    read: Settings, tenant: str = "default", asked: Sequence[SpaceKind] | None = None
) -> Iterator[Client]:
    """A service in this process, on a free loopback port and with a key of its own.

    It holds the engine where no other process does; else it accepts, and the holder settles. Where
    the spaces that will be `asked` are named, it only reads.
    """
    key = secrets.token_urlsafe(32)
    own = read.model_copy(
        update={"host": "127.0.0.1", "port": 0, "api_keys": SecretStr(f"{key}:{tenant}:admin")}
    )
    up = threading.Event()
    connected = holding(own) if asked is None else reading(own, tenant, asked)
    with _listener(own.host, own.port) as listener, connected as services:
        server = Server(_config(create_app(services)), up.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="api", daemon=True
        )
        thread.start()
        try:
            until = time.monotonic() + _START_SECONDS
            while not up.wait(0.05):
                if not thread.is_alive() or time.monotonic() > until:
                    raise UnavailableError("the service inside this process did not start")
            with Client(_url(listener), key) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM as Ctrl-C: what is open is closed on the way out."""
    del number, frame
    raise KeyboardInterrupt


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own union of ASGI types
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    """Bind before anything is built, so that a taken port costs nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # create_server adds the address to the reason, gaierror has a number of its own
        number = None if isinstance(error, socket.gaierror) else error.errno
        reason = (error.strerror or str(error)) if number is None else os.strerror(number)
        raise SettingsError(f"cannot listen on {host}:{port}: {reason.lower()}") from None
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
