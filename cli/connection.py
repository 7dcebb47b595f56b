"""The options that say which service a command speaks to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click

from adapters import settings
from adapters.settings import Settings
from cli.client import HTTPClient
from core.errors import SettingsError
from core.types import SpaceKind

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Values of the options; None where one was not given."""

    url: str | None
    key: str | None
    data: str | None
    tenant: str
    model: str | None = None


def together(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Return one decorator that adds the options; help lists them in this order."""
    return lambda command: functools.reduce(
        lambda wrapped, option: option(wrapped), reversed(options), command
    )


def options(command: _F) -> _F:
    """Add the options of `connected`, and `--model` for a service right here."""
    said = "With --data: the visual model (SEENIT_MODEL)."
    return click.option("--model", help=said)(connected(command))


def connected(command: _F) -> _F:
    """Add `--url` and `--key` for a service elsewhere, `--data` and `--tenant` for one right here.

    The command gets them as one argument, `service`.
    """

    @functools.wraps(command)
    def bundled(
        *arguments: object,
        url: str | None,
        key: str | None,
        data: str | None,
        tenant: str,
        model: str | None = None,
        **others: object,
    ) -> object:
        service = ServiceOptions(url=url, key=key, data=data, tenant=tenant, model=model)
        return command(*arguments, service=service, **others)

    return together(
        click.option(
            "--url", help="A running service (SEENIT_URL), in place of the data folder's."
        ),
        click.option(
            "--key", help="Of the service at the URL: its API key (SEENIT_KEY is kept off screen)."
        ),
        click.option(
            "--data",
            type=click.Path(file_okay=False),
            help="Data folder (SEENIT_DATA); a `seenit up` that runs on it is used.",
        ),
        click.option("--tenant", default="default", show_default=True, help="With --data: whose."),
        click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document."),
    )(bundled)  # type: ignore[return-value]


@contextmanager
def connect(
    service: ServiceOptions, *, asked: Sequence[SpaceKind] | None = None, lasting: bool = False
) -> Iterator[HTTPClient]:
    """Yield a client of the service that the options name.

    That is the one at `--url` or SEENIT_URL, else the `seenit up` that runs on the data folder,
    else one in this process. `asked`: nothing is uploaded, and these spaces are searched in, if
    any. `lasting`: raise UsageError for a service that ends with this command. Raise SettingsError
    for wrong settings, and where there is no data to be read.
    """
    # An absent model is told by the answer itself, where somebody only looks.
    level: Literal["warning", "error"] = "warning" if asked is None else "error"
    read = settings.load(data=service.data, model=service.model, log_level=level)
    if url := service.url or ("" if service.data else read.url):
        key = service.key or read.key.get_secret_value()
        with HTTPClient(url, key or None) as client:
            yield client
        return
    from cli.running_service import find_running  # noqa: PLC0415  not for a service elsewhere

    if (running := find_running(read, service.model, models=asked != ())) is not None:
        with HTTPClient(running.url, running.key.token(service.tenant)) as client:
            yield client
        return
    if lasting and not read.public_url:
        raise click.UsageError(
            "--deliver url needs a service that goes on answering: start `seenit up`, or name one "
            "with --url or SEENIT_PUBLIC_URL"
        )
    with _in_process(read, service.tenant, asked) as client:
        yield client


@contextmanager
def _in_process(
    read: Settings, tenant: str, asked: Sequence[SpaceKind] | None
) -> Iterator[HTTPClient]:
    """Start a service in this process, on a free port, and yield its client."""
    from cli.commands import up  # noqa: PLC0415  it loads API and worker
    from cli.server import logs  # noqa: PLC0415  likewise

    if asked is not None:
        present(read)
    logs.log_to(read)
    with up.beside(read, tenant, asked) as client:
        client.most = read.max_bytes
        yield client


def present(read: Settings) -> None:
    """Raise SettingsError where the data folder has to be read and is not there."""
    from adapters.wiring import shared  # noqa: PLC0415  it loads every adapter

    if not shared(read) and not read.data.exists():
        raise SettingsError(f"there is no data in {read.data}: name its folder with --data")
