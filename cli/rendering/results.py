"""Hits, prompts and counts on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client import Answer
from cli.rendering.verdicts import NARROW
from core.errors import EmbedderUnavailableError
from core.types import OFF

ADVICE = "`seenit doctor` says how to get a model"
_SETTINGS = {"visual": "SEENIT_MODEL", "caption": "SEENIT_CAPTION_MODEL"}
_COVERAGE = ("with", "missing", "represented_by_original")
_BANDS = {"very close": "green", "close": "green", "related": "yellow", "weak": "red"}


def advised(ask: Callable[[], Answer]) -> Answer:
    """Return an answer; add what to do to the error for an absent model."""
    try:
        return ask()
    except EmbedderUnavailableError as error:
        raise EmbedderUnavailableError(f"{error.detail}; {ADVICE}") from None


def plain(value: object) -> str:
    """Return a text in one line, without terminal controls or invisible characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def called(picture: Answer) -> str:
    """Return the name people know a picture by: title, file name or external_id."""
    names = (picture.get(name) for name in ("title", "filename", "external_id"))
    return plain(next((name for name in names if name), ""))


def hits(answer: Answer) -> None:
    """Print the hits of a search, best first, and the signals that took part."""
    console = Console()
    found = answer["hits"]
    grouped = any("group" in hit for hit in found)
    heads = ["", *(["group"] if grouped else []), "picture", "similarity", "matched by", "image_id"]
    rows = [
        [
            Text(str(hit["rank"])),
            *([Text(plain(hit["group"]))] if grouped else []),
            Text(called(hit["image"])),
            _near(hit),
            Text(", ".join(hit["matched_by"])),
            Text(hit["image"]["image_id"]),
        ]
        for hit in found
    ]
    if not found:
        console.print("nothing was found")
    _print(console, heads, rows, wide=("picture", "group"))
    seconds = f"{answer['took_ms']:.0f} ms"
    console.print(Text(f"asked: {', '.join(answer['used'])}; {seconds}", style="dim"))
    for one in answer["missing"]:
        reason = f"{one['signal']} took no part: {plain(one['reason'])}; {ADVICE}"
        if one["reason"] == OFF:
            reason = f"{one['signal']} took no part: {_SETTINGS[one['signal']]}=none turns it off"
        console.print(Text(reason, style="yellow"), soft_wrap=True)


def citations(answer: Answer) -> None:
    """Print the pictures of a prompt by their labels, and those left out."""
    console = Console()
    if answer["reason"]:
        console.print(Text(f"no picture: {plain(answer['reason'])}"), soft_wrap=True)
    rows = [
        [
            Text(one["label"]),
            Text(called(one)),
            Text(", ".join(f"{kind} {near:.2f}" for kind, near in one["similarities"].items())),
            Text(one["image_id"]),
        ]
        for one in answer["citations"]
    ]
    _print(console, ["label", "picture", "similarity", "image_id"], rows, wide=("picture",))
    for one in answer["dropped"]:
        console.print(
            Text(f"left out: {one['image_id']}: {plain(one['reason'])}", style="yellow"),
            soft_wrap=True,
        )
    pictures = f"{len(answer['citations'])} pictures"
    console.print(Text(f"{pictures}, about {answer['estimated_tokens']} tokens", style="dim"))
    for note in answer["notes"]:
        console.print(Text(plain(note), style="dim"), soft_wrap=True)


def statistics(answer: Answer) -> None:
    """Print counts: in all, by space, by category."""
    console = Console()
    total = answer["total"]
    console.print(f"{total['images']} pictures{_counts(total['verdicts'])}")
    if total["decisions"]:
        console.print(f"decisions{_counts(total['decisions'])}")
    log = answer["log"]
    console.print(f"{answer['queue_depth']} uploads and operations wait")
    console.print(f"{log['lag']} of {log['head']} entries of the log are not in the index yet")
    spaces = [
        [Text(space), *(Text(str(one[name])) for name in _COVERAGE)]
        for space, one in sorted(total["spaces"].items())
    ]
    heads = ["space", "with", "missing", "by their original"]
    _print(console, heads, spaces, numbers=heads[1:])
    named = sorted(total["spaces"])
    rows = [
        [
            Text(plain(name)),
            Text(str(group["images"])),
            *(Text(str(group["spaces"].get(space, {}).get("with", 0))) for space in named),
        ]
        for name, group in answer["categories"].items()
    ]
    heads = ["category", "pictures", *(f"with {space}" for space in named)]
    _print(console, heads, rows, wide=("category",), numbers=heads[1:])


def _near(hit: Answer) -> Text:
    found = hit["similarities"]
    named = len(found) > 1
    told = Text(", ".join(f"{kind} " * named + f"{near:.2f}" for kind, near in found.items()))
    if "band" in hit:
        told.append(f" {hit['band']}", style=_BANDS[hit["band"]])
    return told


def _counts(counts: dict[str, int]) -> str:
    told = [f"{n} {name.replace('_', ' ')}" for name, n in counts.items()]
    return f": {', '.join(told)}" if told else ""


def _print(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[Text]],
    *,
    wide: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> None:
    """Print a table; lines where a table would be too narrow to read."""
    if not rows:
        return
    if console.width < NARROW and not numbers:
        for first, *others in rows:
            line = Text.assemble(first, " ", Text("; ").join(one for one in others if one.plain))
            console.print(line, soft_wrap=True)
        return
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        if head in wide:
            table.add_column(head, overflow="fold", ratio=1)
        elif head in numbers:
            table.add_column(head, justify="right", overflow="fold")
        else:
            table.add_column(head, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
