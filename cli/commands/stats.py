"""`seenit stats`: what is stored, in numbers."""

from __future__ import annotations

import click

from cli import connection
from cli.rendering import results, verdicts


@click.command()
@connection.options
def command(
    *,
    service: connection.ServiceOptions,
    as_json: bool,
) -> None:
    """Count pictures by verdict, decision, category and space, and what still waits."""
    with connection.connect(service, asked=()) as client:
        answer = client.stats()
    if as_json:
        verdicts.as_json(answer)
    else:
        results.statistics(answer)
