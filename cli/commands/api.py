"""`seenit api`: one HTTP process of a service whose work is done by workers elsewhere."""

from __future__ import annotations

import logging
from contextlib import closing

import click

from adapters import settings, wiring
from api.app import create_app
from cli.server import http_server, logs

logger = logging.getLogger(__name__)


@click.command()
@click.option("--host", help="Address to listen on (SEENIT_HOST).")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (SEENIT_PORT).")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON line.")
def command(host: str | None, port: int | None, data: str | None, *, as_json: bool) -> None:
    """Run the API alone: it accepts, answers, and asks workers what needs a model.

    Needs a Redis (SEENIT_BROKER_URL) that workers (`seenit worker`) and a beat (`seenit beat`)
    share. Any number of these may run; Ctrl-C or SIGTERM ends one gracefully.
    """
    read = settings.load(host=host, port=port, data=data)
    read.check_address()
    logs.log_to(read)
    http_server.stoppable()
    with (
        http_server.listener(read.host, read.port) as listener,
        closing(wiring.build(read, role="api")) as services,
    ):
        if not read.url_secret.get_secret_value():
            logger.warning(
                "SEENIT_URL_SECRET is not set: an address of a picture that this process signs "
                "opens nothing at one with another SEENIT_DATA"
            )
        limits = http_server.connection_limits(read)
        http_server.serve(create_app(services), listener, limits, as_json=as_json)
