"""`seenit check`: the verdict that files would get; nothing is stored."""

from __future__ import annotations

from pathlib import Path

import click

from cli import connection
from cli.client import Answer, HTTPClient, problem
from cli.file_reading import UnreadError
from cli.files import FoundFiles, Skipped, failing, listed, unread
from cli.rendering import verdicts
from core.errors import SeenitError


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@connection.options
def command(
    paths: tuple[Path, ...],
    *,
    service: connection.ServiceOptions,
    as_json: bool,
) -> int:
    """Say of each file which verdict it would get now, keeping nothing of it."""
    files, skipped = listed(paths)
    with connection.connect(service) as client:
        done = [_check(client, file) for file in files]
    rows = [one for one in done if isinstance(one, dict)]
    skipped += [one for one in done if isinstance(one, Skipped)]
    verdicts.outcome(rows, skipped, json_wanted=as_json)
    return 1 if any("error" in row for row in rows) or failing(skipped) else 0


def _check(client: HTTPClient, file: FoundFiles) -> Answer | Skipped:
    try:
        return {"file": file.name, **client.check(file.path)}
    except UnreadError as error:
        return unread(file, error)
    except SeenitError as error:
        return {"file": file.name, "error": problem(error)}
