"""`seenit check`: were these pictures seen before? Nothing is kept."""

from __future__ import annotations

from pathlib import Path

import click

from cli import service, show
from cli.client import Answer, Client
from cli.files import Found, found
from core.errors import ForbiddenError, InputError, UnauthorizedError


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@service.options
def command(
    paths: tuple[Path, ...],
    *,
    url: str | None,
    key: str | None,
    data: str | None,
    model: str | None,
    tenant: str,
    as_json: bool,
) -> int:
    """Say of each file which verdict it would get now, keeping nothing of it."""
    files = list(found(paths))
    with service.connect(url, key, data, model, tenant) as client:
        rows = [_check(client, file) for file in files]
    if as_json:
        show.as_json({"items": rows, "counts": show.counts(rows)})
    else:
        show.verdicts(rows)
        click.echo(show.summary(rows))
    return 1 if any("error" in row for row in rows) else 0


def _check(client: Client, file: Found) -> Answer:
    try:
        return {"file": file.name, **client.check(file.path)}
    except (UnauthorizedError, ForbiddenError):
        raise
    except InputError as error:
        return {"file": file.name, "error": {"type": error.type, "detail": error.detail}}
