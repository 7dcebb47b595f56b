"""The options that say which service a command speaks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import click

from adapters import settings
from adapters.settings import Settings
from adapters.wiring import shared
from cli.client import HTTPClient
from core.errors import SettingsError
from core.types import SpaceKind

_F = TypeVar("_F", bound=Callable[..., Any])


def options(command: _F) -> _F:
    """Those of `connected`, and `--model` for the visual model of a service right here."""
    said = "With --data: the visual model (SEENIT_MODEL)."
    return click.option("--model", help=said)(connected(command))


def connected(command: _F) -> _F:
    """`--url` and `--key` for a service elsewhere, `--data` and `--tenant` for one right here."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document."),
        click.option("--tenant", default="default", show_default=True, help="With --data: whose."),
        click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA)."),
        click.option("--key", help="With --url: the API key (SEENIT_KEY keeps it off the screen)."),
        click.option("--url", help="A running service; without it, the data folder is used."),
    ):
        command = option(command)
    return command


@contextmanager
def connect(
    url: str | None,
    key: str | None,
    data: str | None,
    model: str | None,
    tenant: str,
    *,
    asked: Sequence[SpaceKind] | None = None,
) -> Iterator[HTTPClient]:
    """A client of the service that the options name.

    `asked`: nothing is uploaded, and these spaces are searched in, if any.
    """
    if url is not None:
        key = key or settings.load().key.get_secret_value()
        with HTTPClient(url, key or None) as client:
            yield client
        return
    from cli.commands import up  # noqa: PLC0415  it loads API and worker: not for a client of another
    from cli.server import logs  # noqa: PLC0415  likewise

    # An absent model is told by the answer itself, where somebody only looks.
    level: Literal["warning", "error"] = "warning" if asked is None else "error"
    read = settings.load(data=data, model=model, log_level=level)
    if asked is not None:
        present(read)
    logs.log_to(read)
    with up.beside(read, tenant, asked) as client:
        client.most = read.max_bytes
        yield client


def present(read: Settings) -> None:
    """Whether there is anything to be looked at in this folder, if it is one. SettingsError."""
    if not shared(read) and not read.data.exists():
        raise SettingsError(f"there is no data in {read.data}: --data")
