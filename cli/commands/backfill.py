"""`seenit backfill`: vectors that are missing, and fingerprints of an older version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from adapters import settings
from cli import admin
from cli.rendering import verdicts

KEPT = {
    "unchanged": "have the same fingerprint as before",
    "no_bytes": "have no bytes any more",
    "left_out": "are of a format that is not read (SEENIT_FORMATS, camera raw)",
    "failed": "cannot be decoded any more",
}
"""Reasons for which a picture keeps its version, by the count in the task's result."""


@click.command()
@click.argument("part", type=click.Choice(["spaces", "pixels", "features"]), default="spaces")
@click.option("--space", help="visual, caption, or the id of a space; without it, all of them.")
@click.option("--tenant", help="Of this tenant alone.")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@admin.url_options
def command(
    *,
    part: str,
    space: str | None,
    tenant: str | None,
    data: str | None,
    model: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Compute missing vectors, or again what an older version computed from the pictures.

    `spaces`, the default: vectors of pictures that were settled while a model was absent, or before
    a second was added; visual ones from the stored previews, caption ones from the newest fields.

    `pixels`, `features`: fingerprints of older versions, from the stored bytes; where the pixels
    differ, preview and vectors as well. Verdicts stay.

    It may be stopped at any time: finished pictures stay, and the next run continues. A running
    `seenit up` does it and goes on serving.
    """
    if space is not None and part != "spaces":
        raise click.UsageError(f"--space does not go with {part}")
    read = settings.load(data=data, model=model, log_level="warning")
    named = {"space": space, "tenant": tenant}
    arguments = {name: value for name, value in named.items() if value is not None}
    kind = "backfill" if part == "spaces" else f"backfill-{part}"
    told = admin.run_task(
        read, kind, arguments, unit="pictures", show_bar=not as_json, url=url, key=key
    )
    if as_json:
        verdicts.as_json(told)
    elif part == "spaces":
        _show_spaces(told["spaces"])
    else:
        for one in told["tenants"]:
            click.echo(_fingerprinted(part, one))
    return 1 if any(one["failed"] for one in told.get("spaces", ())) else 0


def _show_spaces(spaces: list[dict[str, Any]]) -> None:
    for one in spaces:
        failed = f", {one['failed']} could not be" if one["failed"] else ""
        click.echo(f"{one['tenant']} {one['space_id']}: {one['made']} made{failed}")
    if not spaces:
        click.echo("no space to fill: no model is there")


def _fingerprinted(part: str, counts: Mapping[str, Any]) -> str:
    """Return a line with the number of new fingerprints, and of old ones by reason."""
    kept = [f"{counts[name]} {why}" for name, why in KEPT.items() if counts[name]]
    line = f"{counts['tenant']}: {counts['made']} made with version {counts['version']} of {part}"
    return f"{line}; of an older version stay: {', '.join(kept)}" if kept else line
