"""Verdicts in words and tables, on a terminal."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
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
NARROW = 100
"""Columns under which a table is not worth its lines."""
_ROWS = 100
"""Most rows of a table on a terminal; `--json` tells all."""


def as_json(value: Any) -> None:  # noqa: ANN401 whatever JSON can say
    """Write one JSON document to standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def progress(*, wanted: bool) -> Progress:
    """A bar on standard error that leaves nothing behind; none where nobody would see it move."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (wanted and console.is_terminal),
        transient=True,
    )


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


def verdicts(rows: Sequence[Answer]) -> None:
    """Print a table of files and what became of them; of a long one, those that are not new."""
    console = Console()
    shown = list(rows)
    within = _within([str(row["file"]) for row in rows])
    if len(shown) > _ROWS:
        shown = [row for row in shown if kind(row) != "new"][:_ROWS]
    if console.width < NARROW:
        _lines(console, shown, within)
    elif shown:
        console.print(_table(shown, within))
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} more rows are left out here; --json tells all.")


def _table(rows: Sequence[Answer], within: str) -> Table:
    table = Table(
        title=f"in {within}" if within else None,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("file", overflow="fold", ratio=3)
    table.add_column("verdict", no_wrap=True)
    table.add_column("original", overflow="fold", ratio=3)
    table.add_column("why", overflow="fold", ratio=3)
    table.add_column("decision", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(str(row["file"]).removeprefix(within)),
            _called(row),
            Text(original(row).removeprefix(within)),
            Text(why(row)),
            Text(decision(row)),
        )
    return table


def _lines(console: Console, rows: Sequence[Answer], within: str) -> None:
    """A file a line or two, where a table would be too narrow to read."""
    if within:
        console.print(Text(f"in {within}", style="italic"))
    for row in rows:
        line = Text(f"{str(row['file']).removeprefix(within)}: ").append_text(_called(row))
        if original(row):
            line.append(f" of {original(row).removeprefix(within)}")
        if why(row):
            line.append(f": {why(row)}")
        if decision(row) not in ("", "allow"):
            line.append(f" ({decision(row)})")
        console.print(line)


def _called(row: Answer) -> Text:
    return Text(_WORDS.get(kind(row), kind(row)), style=_COLOURS[kind(row)])


def _within(names: Sequence[str]) -> str:
    """The folder that all of them lie in, with its slash, which need not be said in every row."""
    folders = {name.rpartition("/")[0] for name in names}
    if len(names) < 2 or len({folder.startswith("/") for folder in folders}) > 1:  # noqa: PLR2004
        return ""
    shared = os.path.commonpath(folders)
    return f"{shared}/" if shared.strip("/") else ""


def counts(rows: Iterable[Answer]) -> dict[str, int]:
    """Rows by kind of verdict, `failed` included."""
    return dict(Counter(kind(row) for row in rows).most_common())


def summary(rows: Sequence[Answer]) -> str:
    """Counts in one line."""
    parts = [f"{n} {_WORDS.get(name, name)}" for name, n in counts(rows).items()]
    return f"{len(rows)} files: {', '.join(parts)}" if parts else "no pictures found"
