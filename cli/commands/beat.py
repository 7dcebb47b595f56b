"""`seenit beat`: one process that finds again what the queue lost, and tidies."""

from __future__ import annotations

from contextlib import closing

import click

from adapters import settings, wiring
from adapters.metrics_server import exposed
from cli.server import logs
from cli.server.signals import told_to_stop
from worker.beat import Beat


@click.command()
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--json", "as_json", is_flag=True, help="Say that it is ready as one JSON line.")
def command(data: str | None, *, as_json: bool) -> None:
    """Run the beat: it sends jobs again that no queue and no worker holds, and tidies.

    Only one of several beats is active; another takes over when it ends. It needs no model and
    no GPU.
    """
    read = settings.load(data=data)
    logs.log_to(read)
    told = told_to_stop()
    with (
        closing(wiring.build(read, role="beat")) as services,
        exposed(services.meter, read.host, read.metrics_port),
        closing(Beat(services)) as beat,
    ):
        beat.start()
        click.echo('{"ready": true}' if as_json else "The beat is ready")
        told.wait()
