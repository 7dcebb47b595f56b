"""`seenit worker`: one process that decodes, embeds and settles, beside others over a Redis."""

from __future__ import annotations

import logging
from contextlib import closing

import click

from adapters import settings, wiring
from adapters.metrics_server import exposed
from cli.server import logs
from cli.server.signals import told_to_stop
from core.task_names import QUEUES
from worker.worker import Worker

LOOK_SECONDS = 1.0
"""Seconds between two looks at the stop signal."""

logger = logging.getLogger(__name__)


@click.command()
@click.option(
    "--queues",
    default=",".join(QUEUES),
    show_default=True,
    help="What it consumes; a worker that answers queries alone answers faster.",
)
@click.option(
    "--name", help="Its name to Celery's tools, unique if a host has several: NAME, or NAME@HOST."
)
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model: an id, a folder, or none (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Say that it is ready as one JSON line.")
def command(
    queues: str, name: str | None, data: str | None, model: str | None, *, as_json: bool
) -> None:
    """Run a worker: it takes uploads and queries off the queues until it is stopped.

    Needs the Redis (SEENIT_BROKER_URL), the index and the blobs that API, beat and other workers
    share. On SIGTERM or Ctrl-C it finishes the batch in hand, gives the rest back, and ends; a
    second one ends it at once, and other workers take over its jobs within SEENIT_LEASE_SECONDS.
    """
    read = settings.load(data=data, model=model)
    logs.log_to(read)
    told = told_to_stop()
    names = [each.strip() for each in queues.split(",") if each.strip()]
    with (
        closing(wiring.build(read, role="worker")) as services,
        exposed(services.meter, read.host, read.metrics_port),
        closing(Worker(services, names, name=name, shutdown=told.set)) as worker,
    ):
        worker.start()
        said = False
        while not told.wait(LOOK_SECONDS if said else 0.05):
            if worker.ready and not said:
                click.echo('{"ready": true}' if as_json else "The worker is ready")
                said = True
        logger.info("stopping: the batch in hand is finished, the rest given back")
