"""`seenit model`: change the model of a filled service while it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters import settings
from cli import admin
from cli.connection import together
from cli.rendering import verdicts


@click.group()
def command() -> None:
    """Change the model under a filled index: add, backfill, activate.

    After `add` every upload gets vectors of both models, and searches go on with the old one.
    `seenit backfill` makes those of the pictures that were there before. `activate` is refused
    while one is missing; from then on searches ask the new one.
    """


_options = together(
    click.option("--tenant", help="Of this tenant alone."),
    click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA)."),
    click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document."),
)
_KIND = click.option("--caption", is_flag=True, help="A sentence encoder, not a dual encoder.")


@command.command(name="list")
@_options
def listed(tenant: str | None, data: str | None, *, as_json: bool) -> None:
    """List the spaces, the active one, and how many vectors are missing."""
    told = _carried_out("model-list", data, tenant, {}, show_bar=not as_json)
    if as_json:
        verdicts.as_json(told)
        return
    for one in told["spaces"]:
        state = "active" if one["active"] else "added"
        missing = f", {one['missing']} missing" if one["missing"] else ""
        click.echo(f"{one['tenant']} {one['space_id']} ({one['model']}): {state}{missing}")
    if not told["spaces"]:
        click.echo("no model is there, or nothing was uploaded yet")


@command.command()
@click.argument("model")
@_KIND
@_options
def add(model: str, tenant: str | None, data: str | None, *, caption: bool, as_json: bool) -> None:
    """Fill a second space beside the active one from now on."""
    arguments = _named(model, caption=caption)
    told = _carried_out("model-add", data, tenant, arguments, show_bar=not as_json)
    if as_json:
        verdicts.as_json(told)
    else:
        click.echo(
            f"{told['space_id']} is filled from now on. Next: seenit backfill, then "
            f"seenit model activate {model}"
        )


@command.command()
@click.argument("model")
@_KIND
@_options
def activate(
    model: str, tenant: str | None, data: str | None, *, caption: bool, as_json: bool
) -> None:
    """Ask the added space from now on; refused while a picture lacks a vector in it."""
    arguments = _named(model, caption=caption)
    told = _carried_out("model-activate", data, tenant, arguments, show_bar=not as_json)
    if as_json:
        verdicts.as_json(told)
    else:
        name = "SEENIT_CAPTION_MODEL" if caption else "SEENIT_MODEL"
        click.echo(
            f"{told['space_id']} is searched from now on. Set {name}={model}, for tenants to come."
        )


def _named(model: str, *, caption: bool) -> dict[str, str]:
    """Return a folder by its whole path: the holder may run elsewhere."""
    folder = Path(model).expanduser()
    source = str(folder.absolute()) if folder.is_dir() else model
    return {"model": source, "kind": "caption" if caption else "visual"}


def _carried_out(
    kind: str,
    data: str | None,
    tenant: str | None,
    arguments: dict[str, str],
    *,
    show_bar: bool,
) -> dict[str, Any]:
    read = settings.load(data=data, log_level="warning")
    if tenant is not None:
        arguments = {**arguments, "tenant": tenant}
    return admin.run_task(read, kind, arguments, unit="tenants", show_bar=show_bar)
