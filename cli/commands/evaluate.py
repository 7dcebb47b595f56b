"""`seenit evaluate`: recognition of copies and recall of search on one's own photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from msgspec import to_builtins
from rich.progress import TaskID

from cli.file_reading import UnreadError, opened, printed, read_text
from cli.files import listed, unread
from cli.rendering import verdicts
from core.errors import InputError
from core.matching.policy import POLICY
from evaluation import plots, tables
from evaluation import retrieval as recall
from evaluation.duplicates import DuplicatesEvaluation
from evaluation.duplicates_plan import DuplicatesPlan
from evaluation.edits import ALL_EDITS, EDITS
from evaluation.families import COMPARED
from evaluation.labelled_pairs import Pair, read_pairs
from evaluation.scratch_library import album
from evaluation.scratch_service import private
from evaluation.synthetic_templates import FAMILIES, TEMPLATES

_R = TypeVar("_R")
_FILE = click.Path(exists=True, path_type=Path)


@click.group()
def command() -> None:
    """Measure on your photos how well copies are recognised and pictures are found."""


@command.command()
@click.argument("folder", type=_FILE, required=False)
@click.option(
    "--pairs",
    "labelled",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of left,right,label (copy, variant or different); FOLDER may then be left out.",
)
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
    type=click.Choice(list(ALL_EDITS)),
    metavar="NAME",
    help="Only this edit; may be repeated.",
)
@click.option("--all-edits", is_flag=True, help=f"All {len(ALL_EDITS)} edits, not the usual 25.")
@click.option("--limit", type=click.IntRange(1), help="Only so many of the photos.")
@click.option("--all-pairs", is_flag=True, help="Lay all pairs over each other as well: slow.")
@click.option("--templates/--no-templates", default=True, help="Made cards, forms, charts, chats.")
@click.option(
    "--family",
    "families",
    multiple=True,
    type=click.Choice(list(FAMILIES)),
    metavar="NAME",
    help="Only this family of made pictures; may be repeated.",
)
@click.option(
    "--all-families", is_flag=True, help=f"All {len(FAMILIES)} families, not the usual 6."
)
@click.option(
    "--instances",
    type=click.IntRange(2, 2000),
    default=COMPARED,
    show_default=True,
    help="Pictures of each family to store.",
)
@click.option(
    "--banned", type=click.IntRange(0), default=0, help="Ban so many photos of four times as many."
)
@click.option("--order", type=int, default=0, help="Seed of their order; default: as drawn.")
@click.option("--processes", type=click.IntRange(1, 64), help="For all pairs; default: one a core.")
@click.option("--model", help="Visual model (SEENIT_MODEL), or none.")
@click.option("--index", help="On an index of its own in this Weaviate: weaviate://HOST…")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out/evaluation",
    show_default=True,
    help="Folder for report.json, the plots and wrong-*.png.",
)
@click.option("--plot/--no-plot", default=True, help="Draw the plots (needs matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
def duplicates(
    folder: Path | None,
    *,
    labelled: Path | None,
    distractors: tuple[Path, ...],
    lookalikes: Path | None,
    known: Path | None,
    edits: tuple[str, ...],
    all_edits: bool,
    families: tuple[str, ...],
    all_families: bool,
    instances: int,
    order: int,
    banned: int,
    limit: int | None,
    model: str | None,
    index: str | None,
    processes: int | None,
    out: Path,
    all_pairs: bool,
    templates: bool,
    plot: bool,
    as_json: bool,
) -> int:
    """Edit every photo of FOLDER in all the ways people do, and count what is recognised.

    Exits with 1 if an edit stays under its mark or different pictures were called copies.
    """
    if plot:
        plots.need_plotting()
    plan = DuplicatesPlan(
        photos=_photos(folder, labelled)[:limit],
        distractors=_files(distractors),
        lookalikes=_files(_given(lookalikes)),
        known=_known(known),
        edits=_chosen(edits, ALL_EDITS if all_edits else EDITS),
        all_pairs=all_pairs,
        families=_chosen(families, _usual(folder if templates else None, every=all_families)),
        instances=instances,
        order=order,
        banned=banned,
        labelled=_pairs(labelled),
        processes=processes or os.cpu_count() or 1,
    )
    with private(POLICY, model, index) as instance, _progress(shown=not as_json) as told:
        report = (evaluation := DuplicatesEvaluation(instance, plan, POLICY, told)).run()
    written = [_written(report, out), *plots.contact(evaluation.wrong, out)]
    written += plots.duplicates(report, out) if plot else []
    _show(report, tables.duplicates, written, as_json=as_json)
    return 0 if report.met else 1


@command.command()
@click.argument("captions", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", help="Visual model (SEENIT_MODEL), or none.")
@click.option("--caption-model", help="Sentence encoder (SEENIT_CAPTION_MODEL), or none.")
@click.option(
    "--descriptions",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Captions of a picture that are stored; the others ask.",
)
@click.option(
    "--leave-out",
    type=click.FloatRange(0, 0.9),
    default=0.2,
    show_default=True,
    help="Share of the pictures that are not there at first: questions without an answer.",
)
@click.option("--limit", type=click.IntRange(1), help="Only so many of the pictures.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out/retrieval",
    show_default=True,
    help="Folder for report.json and curve.png.",
)
@click.option("--plot/--no-plot", default=True, help="Draw the curve (needs matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
def retrieval(
    captions: Path,
    folder: Path,
    *,
    model: str | None,
    caption_model: str | None,
    descriptions: int,
    leave_out: float,
    limit: int | None,
    out: Path,
    plot: bool,
    as_json: bool,
) -> None:
    """Store pictures of FOLDER with some of their captions, and ask for them with the others.

    CAPTIONS is a table of two columns parted by a tab, with the header `image` and `caption`: a
    file name in FOLDER and what one person wrote of it, a line each. Runs on a private instance in
    a temporary folder.
    """
    if plot:
        plots.need_plotting()
    plan = recall.RetrievalPlan(
        pictures=tables.captioned(captions, folder, limit),
        descriptions=descriptions,
        leave_out=leave_out,
    )
    with album(model, caption_model) as stocked, _progress(shown=not as_json) as told:
        report = recall.RetrievalEvaluation(stocked, plan, told).run()
    written = [_written(report, out)]
    if plot and report.told is not None:
        written.append(plots.curves(report, out / "curve.png"))
    _show(report, tables.retrieval, written, as_json=as_json)


def _written(report: object, out: Path) -> Path:
    """Write a report as JSON into a folder, which is made; returns the file."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.json"
    path.write_text(json.dumps(to_builtins(report), indent=2) + "\n")
    return path


def _show(
    report: _R, table: Callable[[_R], None], written: Sequence[Path], *, as_json: bool
) -> None:
    if as_json:
        verdicts.as_json(to_builtins(report))
    else:
        table(report)
        click.echo("written: " + ", ".join(map(str, written)))


def _files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Files that can be read; what is skipped is listed on standard error."""
    files, skipped = listed(paths)
    readable = []
    for file in files:
        try:
            with opened(file.path):
                readable.append(file.path)
        except UnreadError as error:
            skipped.append(unread(file, error))
    verdicts.not_taken([], skipped, err=True)
    if paths and not readable:
        raise InputError(f"no pictures in {', '.join(map(printed, paths))}")
    return tuple(readable)


def _photos(folder: Path | None, labelled: Path | None) -> tuple[Path, ...]:
    if folder is None and labelled is None:
        raise InputError("name a FOLDER of photos, or a table of pairs with --pairs")
    return _files(_given(folder))


def _pairs(path: Path | None) -> tuple[Pair, ...]:
    return read_pairs(path) if path else ()


def _given(path: Path | None) -> list[Path]:
    return [path] if path else []


def _chosen(named: tuple[str, ...], usual: Iterable[str]) -> tuple[str, ...]:
    """Return the names that were given, or else the usual ones."""
    return named or tuple(usual)


def _usual(folder: Path | None, *, every: bool) -> Iterable[str]:
    """Return the families to draw if none is named: every one, the usual ones, or none."""
    if every:
        return FAMILIES
    return TEMPLATES if folder else ()


def _known(path: Path | None) -> frozenset[frozenset[str]]:
    if path is None:
        return frozenset()
    lines = read_text(path).splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    for row in rows:
        if len(row) != 2:  # noqa: PLR2004 a pair
            raise InputError(
                f"{printed(path)}: {' '.join(row)!r} has {len(row)} words: a line names two files"
            )
    return frozenset(frozenset(row) for row in rows)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal, a line a stage into a file, nothing beside JSON."""
    stages: dict[str, TaskID] = {}
    with verdicts.progress(wanted=shown, transient=False) as bar:

        def told(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done)
            if shown and not bar.console.is_terminal and done == total:
                click.echo(f"{stage}: {total}", err=True)

        yield told
