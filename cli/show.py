"""Verdicts in words and tables, on a terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client import Answer

_COLOURS = {
    "new": "green",
    "similar": "cyan",
    "near_duplicate": "yellow",
    "exact": "yellow",
    "failed": "red",
}
_WORDS = {"near_duplicate": "near duplicate"}
_ROWS = 100
"""Most rows of a table on a terminal; `--json` tells all."""


def as_json(value: Any) -> None:  # noqa: ANN401 whatever JSON can say
    """Write one JSON document to standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def kind(row: Answer) -> str:
    """`new`, `exact`, `near_duplicate`, `similar`, or `failed`."""
    verdict = row.get("verdict")
    return str(verdict["kind"]) if verdict else "failed"


def why(row: Answer) -> str:
    """The evidence of the match that decided, or the reason of the failure."""
    verdict = row.get("verdict")
    if not verdict:
        return str((row.get("error") or {}).get("detail", ""))
    original = (verdict.get("original") or {}).get("image_id")
    for match in verdict["matches"]:
        if match["image_id"] == original:
            return str(match["evidence"].get("words") or "")
    return ""


def original(row: Answer) -> str:
    """The original by the name its owner gave it, else by its id."""
    verdict = row.get("verdict") or {}
    first = verdict.get("original") or {}
    return str(first.get("external_id") or first.get("image_id") or "")


def decision(row: Answer) -> str:
    """`allow`, `review` or `block`."""
    return str((row.get("decision") or {}).get("value", ""))


def verdicts(rows: Sequence[Answer], *, title: str | None = None) -> None:
    """Print a table of files and what became of them, the most telling first where it is long."""
    console = Console()
    shown = list(rows)
    if len(shown) > _ROWS:
        shown = [row for row in shown if kind(row) != "new"][:_ROWS]
    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for name in ("file", "verdict", "original", "why", "decision"):
        table.add_column(name, overflow="fold")
    for row in shown:
        called = kind(row)
        table.add_row(
            Text(str(row["file"])),
            Text(_WORDS.get(called, called), style=_COLOURS.get(called, "")),
            Text(original(row)),
            Text(why(row)),
            Text(decision(row)),
        )
    if shown:
        console.print(table)
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} more rows are left out here; --json tells all.")


def counts(rows: Iterable[Answer]) -> dict[str, int]:
    """Rows by kind of verdict, `failed` included."""
    return dict(Counter(kind(row) for row in rows).most_common())


def summary(rows: Sequence[Answer]) -> str:
    """Counts in one line."""
    parts = [f"{n} {_WORDS.get(name, name)}" for name, n in counts(rows).items()]
    return f"{len(rows)} files: {', '.join(parts)}" if parts else "no pictures found"
