"""`seenit backfill`: the vectors that are missing, made from what is stored."""

from __future__ import annotations

import click

from adapters import settings
from cli import admin
from cli.rendering import verdicts


@click.command()
@click.option("--space", help="visual, caption, or the id of a space; without it, all of them.")
@click.option("--tenant", help="Of this tenant alone.")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@admin.url_options
def command(
    *,
    space: str | None,
    tenant: str | None,
    data: str | None,
    model: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Embed pictures that were settled while a model was absent, or before a second was added.

    Visual vectors are made from the stored previews, caption vectors from the newest fields. It may
    be stopped at any time: finished vectors stay, and the next run continues. A running `seenit up`
    does it and goes on serving.
    """
    read = settings.load(data=data, model=model, log_level="warning")
    named = {"space": space, "tenant": tenant}
    arguments = {name: value for name, value in named.items() if value is not None}
    told = admin.run_task(
        read, "backfill", arguments, unit="pictures", show_bar=not as_json, url=url, key=key
    )
    if as_json:
        verdicts.as_json(told)
    else:
        for one in told["spaces"]:
            failed = f", {one['failed']} could not be" if one["failed"] else ""
            click.echo(f"{one['tenant']} {one['space_id']}: {one['made']} made{failed}")
        if not told["spaces"]:
            click.echo("no space to fill: no model is there")
    return 1 if any(one["failed"] for one in told["spaces"]) else 0
