"""`seenit evaluate duplicates`: recall and false verdicts on photos of one's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec import to_builtins
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cli import sheets, show
from cli.files import found
from cli.private import private
from core.edits import EDITS
from core.errors import InputError
from core.evaluate import Evaluation, Plan
from core.findings import Report
from core.policy import POLICY

_FILE = click.Path(exists=True, path_type=Path)


@click.group()
def command() -> None:
    """Measure recall and false verdicts on photos of yours."""


@command.command()
@click.argument("folder", type=_FILE)
@click.option("--distractors", multiple=True, type=_FILE, help="Stored beside the photos.")
@click.option("--lookalikes", type=_FILE, help="Different things that look alike: none is a copy.")
@click.option(
    "--known",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Two file names a line: pairs that do show the same photo.",
)
@click.option(
    "--edit",
    "edits",
    multiple=True,
    type=click.Choice(list(EDITS)),
    metavar="NAME",
    help="Only this edit; may be repeated.",
)
@click.option("--limit", type=click.IntRange(1), help="Only so many of the photos.")
@click.option("--all-pairs", is_flag=True, help="Lay all pairs over each other as well: slow.")
@click.option("--templates/--no-templates", default=True, help="Made cards, forms, charts, chats.")
@click.option("--processes", type=click.IntRange(1, 64), help="For all pairs; default: one a core.")
@click.option("--model", help="Visual model (SEENIT_MODEL), or none.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out/evaluation",
    show_default=True,
    help="Folder for report.json, plot.png and wrong-*.png.",
)
@click.option("--plot/--no-plot", default=True, help="Draw the plot (needs matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
def duplicates(
    folder: Path,
    *,
    distractors: tuple[Path, ...],
    lookalikes: Path | None,
    known: Path | None,
    edits: tuple[str, ...],
    limit: int | None,
    model: str | None,
    processes: int | None,
    out: Path,
    all_pairs: bool,
    templates: bool,
    plot: bool,
    as_json: bool,
) -> int:
    """Edit every photo of FOLDER in all the ways people do, and count what is recognised.

    Runs on a private instance in a temporary folder. Exits with 1 where an edit stays under its
    mark or different pictures were called copies.
    """
    if plot:
        sheets.need_plotting()
    plan = Plan(
        photos=_files([folder])[:limit],
        distractors=_files(distractors),
        lookalikes=_files([lookalikes] if lookalikes else []),
        known=_known(known),
        edits=edits or tuple(EDITS),
        all_pairs=all_pairs,
        templates=templates,
        processes=processes or os.cpu_count() or 1,
    )
    with private(POLICY, model) as instance, _progress(shown=not as_json) as told:
        evaluation = Evaluation(instance, plan, POLICY, told)
        report = evaluation.run()
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "report.json", *sheets.contact(evaluation.wrong, out)]
    written[0].write_text(json.dumps(to_builtins(report), indent=2) + "\n")
    if plot:
        written.append(sheets.plot(report, out / "plot.png"))
    if as_json:
        show.as_json(to_builtins(report))
    else:
        _print(report)
        click.echo("written: " + ", ".join(str(path) for path in written))
    missed = any(not edit.met for edit in report.edits)
    return 1 if missed or any(pairs.false for pairs in report.pairs) else 0


def _files(paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(one.path for one in found(paths))


def _known(path: Path | None) -> frozenset[frozenset[str]]:
    lines = path.read_text().splitlines() if path else []
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if any(len(row) != 2 for row in rows):  # noqa: PLR2004 a pair
        raise InputError(f"{path}: every line has to name two files")
    return frozenset(frozenset(row) for row in rows)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal, a line a stage into a file, nothing beside JSON."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    )
    stages: dict[str, TaskID] = {}
    with bar:

        def told(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done)
            if shown and not console.is_terminal and done == total:
                click.echo(f"{stage}: {total}", err=True)

        yield told


def _print(report: Report) -> None:
    console = Console()
    console.print(
        f"{report.photos} photos among {report.stored} pictures · visual: {report.model} · "
        f"policy {report.policy_version} · {report.seconds:.0f} s"
    )
    table = Table(title="Recall, %", title_justify="left", header_style="bold")
    for name in ("edit", "asked", "all", "odd", "even", "candidate", "hash", "visual", "features"):
        table.add_column(name, justify="left" if name == "edit" else "right")
    for edit in report.edits:
        style = "" if edit.met else "red"
        shares = (edit.all, edit.odd, edit.even, edit.candidate)
        sources = (edit.by_hash, edit.by_visual, edit.by_features)
        table.add_row(
            edit.title,
            "" if edit.expected is None else f"{edit.expected:.0%}".rstrip("%"),
            *(f"{100 * one.value:.1f}" for one in (*shares, *sources)),
            style=style,
        )
    console.print(table)
    table = Table(
        title="Candidates a picture, itself left out", title_justify="left", header_style="bold"
    )
    for name in ("pictures", "hash", "visual", "features", "together", "laid over", "most"):
        table.add_column(name, justify="left" if name == "pictures" else "right")
    for one in report.looked:
        values = (one.by_hash, one.by_visual, one.by_features, one.together, one.laid_over)
        table.add_row(f"{one.pictures} {one.label}", *(f"{v:.3f}" for v in values), str(one.most))
    console.print(table)
    table = Table(title="Called copies of each other", title_justify="left", header_style="bold")
    for name in ("pictures", "way", "pairs", "false", "which"):
        table.add_column(name, justify="right" if name in {"pairs", "false"} else "left")
    for pairs in report.pairs:
        which = "\n".join(
            f"{pair.one} · {pair.other}" + (" (the same photo)" if pair.known else "")
            for pair in pairs.confirmed
        )
        table.add_row(
            f"{pairs.pictures} {pairs.label}",
            pairs.way,
            f"{pairs.pairs:,}",
            str(pairs.false),
            which,
            style="red" if pairs.false else "",
        )
    console.print(table)
    if not report.templates:
        return
    table = Table(
        title="Templates: pairs of different ones", title_justify="left", header_style="bold"
    )
    for name in ("template", "pairs", "not confirmed", "with changes", "without", "area", "told"):
        table.add_column(name, justify="left" if name in {"template", "told"} else "right")
    for kind in report.templates:
        said = ", ".join(f"{n} {name}" for name, n in kind.verdicts.items())
        counts = (kind.pairs, kind.unconfirmed, kind.changed, kind.plain)
        table.add_row(kind.kind, *map(str, counts), f"{kind.share:.0%}", said)
    console.print(table)
