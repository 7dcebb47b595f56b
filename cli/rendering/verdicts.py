"""Verdicts in words and tables, on a terminal."""

from __future__ import annotations

import json
import os
import sys
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
from cli.files import KINDS, UNREAD, Skipped
from cli.rendering.printable import printable

_COLOURS = {
    "new": "green",
    "similar": "cyan",
    "variant": "cyan",
    "near_duplicate": "yellow",
    "exact": "yellow",
    "failed": "red",
}
_WORDS = {"near_duplicate": "near duplicate"}
NARROW = 100
"""Columns below which lines are printed in place of a table."""
_ROWS = 100
"""Most rows of a table on a terminal; `--json` has all."""
_EACH = 3
"""Entries of a kind that are named on a terminal; `--json` has all."""
_LONG = 100
"""Characters of such a name."""
_REASONS = {"too-large": "too large", "unsupported": "unsupported format", "broken": "broken"}
"""Why files failed, by the type of their error; other types stand for themselves."""


def as_json(value: Any) -> None:  # noqa: ANN401 whatever JSON can say
    """Write one JSON document to standard output, in ASCII where that takes no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


def outcome(rows: Sequence[Answer], skipped: Sequence[Skipped], *, json_wanted: bool) -> None:
    """Print the result of every file and entry: each is in one row, or skipped."""
    if json_wanted:
        left = [{"file": one.name, "kind": one.kind, "reason": one.reason} for one in skipped]
        counted = dict(Counter(one.kind for one in skipped))
        as_json({"items": rows, "counts": counts(rows), "skipped": left, "skipped_counts": counted})
        return
    within = _within([*(str(row["file"]) for row in rows), *(one.name for one in skipped)])
    verdicts(rows, within)
    not_taken(rows, skipped, within)
    click.echo(summary(rows, skipped))


def not_taken(
    rows: Sequence[Answer], skipped: Sequence[Skipped], within: str = "", *, err: bool = False
) -> None:
    """List failed and skipped files by kind, a few of each by name below a folder."""
    failed: dict[str, list[str]] = {}
    for row in rows:
        if kind(row) == "failed":
            type_ = str((row.get("error") or {}).get("type") or "failed")
            name = str(row["file"]).removeprefix(within)
            failed.setdefault(_REASONS.get(type_, type_), []).append(name)
    kinds: dict[str, list[str]] = {}
    for one in skipped:
        name = one.name.removeprefix(within) or one.name
        told = f"{name} ({one.reason})" if one.kind in UNREAD or one.named else name
        kinds.setdefault(KINDS[one.kind], []).append(told)
    for heading, groups in (("failed", failed), ("skipped", kinds)):
        for name, files in groups.items():
            click.echo(f"{heading}: {len(files)} {name}: {_few(files)}", err=err)


def _few(files: Sequence[str]) -> str:
    cut = (file if len(file) <= _LONG else f"…{file[1 - _LONG :]}" for file in files[:_EACH])
    shown = [printable(file) for file in cut]
    return ", ".join(shown) + (f" and {len(files) - _EACH} more" if len(files) > _EACH else "")


def progress(*, wanted: bool, transient: bool = True) -> Progress:
    """Return a progress bar on standard error, disabled where it is no terminal.

    A `transient` bar is removed when it ends.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (wanted and console.is_terminal),
        transient=transient,
    )


def kind(row: Answer) -> str:
    """Return `new`, `exact`, `near_duplicate`, `variant`, `similar` or `failed`."""
    verdict = row.get("verdict")
    return str(verdict["kind"]) if verdict else "failed"


def why(row: Answer) -> str:
    """Return the evidence of the deciding match, or the reason of the failure."""
    verdict = row.get("verdict")
    if not verdict:
        return str((row.get("error") or {}).get("detail", ""))
    match = _deciding(verdict)
    return str(match["evidence"].get("words") or "") if match else ""


def other(row: Answer) -> str:
    """Return the external_id of the original, else its image_id; of a variant the other's."""
    verdict = row.get("verdict") or {}
    first = verdict.get("original") or (_deciding(verdict) if verdict else None) or {}
    return str(first.get("external_id") or first.get("image_id") or "")


def _deciding(verdict: Answer) -> Answer | None:
    """Return the match with the original, or the first variant, which has none."""
    original = (verdict.get("original") or {}).get("image_id")
    for match in verdict["matches"]:
        if match["image_id"] == original or verdict["kind"] == match["kind"] == "variant":
            found: Answer = match
            return found
    return None


def decision(row: Answer) -> str:
    """Return `allow`, `review` or `block`, "" for a failure."""
    return str((row.get("decision") or {}).get("value", ""))


def verdicts(rows: Sequence[Answer], within: str | None = None) -> None:
    """Print a table of files and their verdicts; of a long one, the rows that are not new.

    `within` is the folder that contains all of them; it is printed once.
    """
    console = Console()
    shown = list(rows)
    if within is None:
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
        title=Text(f"in {printable(within)}") if within else None,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("file", overflow="fold", ratio=3)
    table.add_column("verdict", no_wrap=True)
    table.add_column("of", overflow="fold", ratio=3)
    table.add_column("why", overflow="fold", ratio=3)
    table.add_column("decision", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(printable(str(row["file"]).removeprefix(within))),
            _called(row),
            Text(printable(other(row).removeprefix(within))),
            Text(printable(why(row))),
            Text(decision(row)),
        )
    return table


def _lines(console: Console, rows: Sequence[Answer], within: str) -> None:
    """Print a file in a line or two, where a table would be too narrow to read."""
    if within:
        console.print(Text(f"in {printable(within)}", style="italic"))
    for row in rows:
        file = printable(str(row["file"]).removeprefix(within))
        line = Text(f"{file}: ").append_text(_called(row))
        if other(row):
            line.append(f" of {printable(other(row).removeprefix(within))}")
        if why(row):
            line.append(f": {printable(why(row))}")
        if decision(row) not in ("", "allow"):
            line.append(f" ({decision(row)})")
        console.print(line)


def _called(row: Answer) -> Text:
    return Text(_WORDS.get(kind(row), kind(row)), style=_COLOURS[kind(row)])


def _within(names: Sequence[str]) -> str:
    """Return the folder that contains all of them, with its slash, to print it once."""
    folders = {name.rstrip("/").rpartition("/")[0] for name in names}
    if len(names) < 2 or len({folder.startswith("/") for folder in folders}) > 1:  # noqa: PLR2004
        return ""
    shared = os.path.commonpath(folders)
    return f"{shared}/" if shared.strip("/") else ""


def counts(rows: Iterable[Answer]) -> dict[str, int]:
    """Count rows by kind of verdict, `failed` included."""
    return dict(Counter(kind(row) for row in rows).most_common())


def summary(rows: Sequence[Answer], skipped: Sequence[Skipped] = ()) -> str:
    """Return one line of counts: files by verdict, skipped entries by kind."""
    parts = [f"{n} {_WORDS.get(name, name)}" for name, n in counts(rows).items()]
    told = f"{len(rows)} files: {', '.join(parts)}" if parts else "no pictures found"
    if not skipped:
        return told
    kinds = Counter(KINDS[one.kind] for one in skipped).most_common()
    return f"{told}; {len(skipped)} skipped: {', '.join(f'{n} {name}' for name, n in kinds)}"
