"""`seenit calibrate`: from which similarity on a picture answers a question, measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from adapters import settings
from cli import admin
from cli.rendering import verdicts


@click.command()
@click.option("--tenant", help="Of this tenant alone.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="Share of the questions without an answer that may get one all the same.",
)
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@admin.url_options
def command(
    *,
    tenant: str | None,
    rate: float,
    data: str | None,
    model: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Measure how similar false matches get in the stored pictures, and set the cut-off above.

    One sentence written about each of up to 2,000 pictures searches the others: its best match is
    a false one. No real questions are needed, and only the cut-off and the words for similarities
    change. Run it again after the pictures have become many more, or the model has changed. Exits
    with 1 if no space could be measured.
    """
    read = settings.load(data=data, model=model, log_level="warning")
    arguments: dict[str, object] = {"rate": rate} | ({} if tenant is None else {"tenant": tenant})
    told = admin.run_task(
        read, "calibrate", arguments, unit="questions", show_bar=not as_json, url=url, key=key
    )
    if as_json:
        verdicts.as_json(told)
    else:
        _print(told["spaces"])
    return 0 if any("refused" not in one for one in told["spaces"]) else 1


def _print(spaces: Sequence[dict[str, Any]]) -> None:
    """Print a line per way of asking a space, and why a space could not be measured."""
    table = Table(header_style="bold")
    for name in ("tenant", "space", "asked by", "questions", "stands out by", "kept", "close from"):
        table.add_column(
            name, justify="left" if name in {"tenant", "space", "asked by"} else "right"
        )
    for one in spaces:
        for way, cut in one.get("ways", {}).items():
            table.add_row(
                one["tenant"],
                one["space_id"],
                way,
                str(cut["asked"]),
                f"{cut['needed']:.3f}",
                "" if cut["kept"] is None else f"{cut['kept']:.0%}",
                f"{cut['bands']['close']:.3f}",
            )
    if table.row_count:
        Console().print(table)
    for one in spaces:
        if "refused" in one:
            click.echo(f"{one['tenant']} {one['kind']}: {one['refused']}")
    if not spaces:
        click.echo("there is no tenant yet")
