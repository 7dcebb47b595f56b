"""`seenit up`: API and worker in one process; also the service inside other commands."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from socket import socket

import click
from pydantic import SecretStr

from adapters import settings, wiring
from adapters.settings import Settings
from adapters.wiring import Services
from api.app import create_app
from cli.client import HTTPClient
from cli.running_service import AddressNotice, holder
from cli.server import http_server, logs
from core.errors import SettingsError, UnavailableError
from core.types import SpaceKind
from worker.embedded import EmbeddedEngine

_START_SECONDS = 60.0


@click.command()
@click.option("--host", help="Address to listen on (SEENIT_HOST).")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (SEENIT_PORT).")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model: an id, a folder, or none (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON line.")
def command(
    host: str | None, port: int | None, data: str | None, model: str | None, *, as_json: bool
) -> None:
    """Run the service: API and worker in one process, until it is stopped.

    Ctrl-C or SIGTERM ends it gracefully: open requests and the batch in hand are finished, and
    what still waits is taken up at the next start.
    """
    read = settings.load(host=host, port=port, data=data, model=model)
    read.check_address()
    if wiring.shared(read):
        raise SettingsError(
            "SEENIT_BROKER_URL names a Redis, which several processes share: run `seenit api`, "
            "`seenit worker` and `seenit beat`; `seenit up` is all in one, with memory://"
        )
    logs.log_to(read)
    http_server.stoppable()
    held = holder(read.data)
    with _listening(read, held) as listener:
        notice = AddressNotice(read, http_server.url(listener))
        with notice.until_done(first=not held), holding(read, took=notice.put) as services:
            limits = http_server.connection_limits(read)
            http_server.serve(create_app(services, notice.key), listener, limits, as_json=as_json)


@contextmanager
def _listening(read: Settings, held: str) -> Iterator[socket]:
    """Yield a bound socket; say who holds the folder where another process does.

    Raise SettingsError for an address that cannot be listened on, which that one may have.
    """
    try:
        bound = http_server.listener(read.host, read.port)
    except SettingsError as error:
        raise SettingsError(f"{error.detail}; {held}" if held else error.detail) from None
    if held:
        click.echo(f"seenit: {held}; this one takes uploads in, and takes over after it", err=True)
    with bound:
        yield bound


@contextmanager
def holding(
    read: Settings, *, ahead: bool = True, took: Callable[[], None] = lambda: None
) -> Iterator[Services]:
    """Yield the services, with an engine that runs where no other process holds the folder.

    `ahead`: its models are loaded also while another one does. `took` is called whenever the
    engine has taken the folder's lock. Where the broker is shared there is no engine: workers
    elsewhere do what it would.
    """
    with closing(wiring.door(read)) as services:
        if services.remote is not None:
            yield services
            return
        engine = EmbeddedEngine(services, ahead=ahead, took=took)
        engine.start()
        try:
            yield services
        finally:
            engine.close()


@contextmanager
def reading(read: Settings, tenant: str, asked: Sequence[SpaceKind]) -> Iterator[Services]:
    """Yield the services without an engine: records are read, none is settled.

    The models of the spaces that are `asked` are loaded by then, or known to be absent.
    """
    with closing(wiring.door(read)) as services:
        models = services.models
        for kind in asked:
            (models.visual if kind == "visual" else models.caption)(tenant).load()
        yield services


@contextmanager
def beside(
    read: Settings, tenant: str = "default", asked: Sequence[SpaceKind] | None = None
) -> Iterator[HTTPClient]:
    """Serve in this process, on a free loopback port with its own key; yield a client.

    It holds the engine where no other process does; else it accepts, and the holder settles. Where
    the spaces that will be `asked` are named, it only reads.
    """
    key = secrets.token_urlsafe(32)
    own = read.model_copy(
        update={
            "host": "127.0.0.1",
            "port": 0,
            "api_keys": SecretStr(f"{key}:{tenant}:admin"),
            "api_keys_file": None,
        }
    )
    up = threading.Event()
    connected = holding(own) if asked is None else reading(own, tenant, asked)
    with http_server.listener(own.host, own.port) as listener, connected as services:
        limits = http_server.connection_limits(own)
        server = http_server.HTTPServer(create_app(services), up.set, limits)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="api", daemon=True
        )
        thread.start()
        try:
            until = time.monotonic() + _START_SECONDS
            while not up.wait(0.05):
                if not thread.is_alive() or time.monotonic() > until:
                    raise UnavailableError("the service inside this process did not start")
            with HTTPClient(http_server.url(listener), key) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
