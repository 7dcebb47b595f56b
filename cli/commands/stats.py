"""`seenit stats`: what is stored, in numbers."""

from __future__ import annotations

import click

from cli import connection
from cli.rendering import results, verdicts


@click.command()
@connection.options
def command(
    *,
    url: str | None,
    key: str | None,
    data: str | None,
    model: str | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Count pictures by verdict, decision, category and space, and what still waits."""
    with connection.connect(url, key, data, model, tenant, asked=()) as client:
        answer = client.stats()
    if as_json:
        verdicts.as_json(answer)
    else:
        results.statistics(answer)
