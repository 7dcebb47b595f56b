"""`seenit reindex`: the index made again from the log, by whichever process holds the folder."""

from __future__ import annotations

import time

import click

from adapters import settings
from cli import admin
from cli.rendering import verdicts


@click.command()
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL), for uploads that wait meanwhile.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@admin.url_options
def command(
    data: str | None, model: str | None, *, url: str | None, key: str | None, as_json: bool
) -> None:
    """Make the index again from the log, decoding and embedding nothing.

    A running `seenit up`, or over Redis a worker, does it and goes on serving; without a broker and
    without a running service this command does it itself. With --url the service there does it.
    The new index is filled beside the old one and takes its place when it is whole.
    """
    read = settings.load(data=data, model=model, log_level="warning")
    started = time.monotonic()
    told = admin.run_task(
        read, "reindex", unit="log entries", show_bar=not as_json, url=url, key=key
    )
    seconds = time.monotonic() - started
    if as_json:
        verdicts.as_json({**told, "seconds": round(seconds, 3)})
    else:
        click.echo(
            f"{told['records']} records out of {told['entries']} entries of the log, "
            f"{seconds:.1f} s"
        )
