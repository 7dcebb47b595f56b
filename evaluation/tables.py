"""Results of an evaluation as tables on a terminal, and the reader of caption tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.file_reading import read_text
from cli.rendering.printable import printable
from core.errors import InputError
from evaluation import retrieval as recall
from evaluation.report import (
    LABELS,
    BannedFound,
    CandidateCounts,
    DuplicatesReport,
    EditFound,
    LabelledPair,
    PairwiseErrors,
    TemplateErrors,
)

_HEADER = ["image", "caption"]


def captioned(
    table: Path, folder: Path, limit: int | None
) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Read files and captions by name, in the order of the table, up to `limit` pictures.

    Raise InputError for another header, a line without its two columns, a name that leaves the
    folder, or a missing file.
    """
    lines = io.StringIO(read_text(table), newline="")
    rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or rows[0] != _HEADER:
        raise InputError(f"{table}: the first line has to be `image`, a tab, `caption`")
    held: dict[str, list[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_HEADER) or not all(one.strip() for one in row):
            raise InputError(f"{table}, line {number}: a file name, a tab and a caption")
        held.setdefault(row[0], []).append(row[1])
    pictures = {name: (folder / name, tuple(held[name])) for name in list(held)[:limit]}
    for name, (path, _) in pictures.items():
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise InputError(f"{table}: there is no file {name} in {folder}")
    return pictures


def retrieval(report: recall.RetrievalReport) -> None:
    """Print recall by question and by mode, and the shares of empty answers."""
    console = Console()
    models = " · ".join(f"{kind}: {name}" for kind, name in report.models.items())
    console.print(f"{report.pictures} pictures · {models} · {report.seconds:.0f} s")
    columns = ("asked", "mode", "by", "questions", *(f"R@{k}" for k in recall.AT))
    table = _table("Recall, %", columns, left={"asked", "mode", "by"})
    for one in report.found:
        shares = (f"{100 * one.at[str(k)]:.1f}" for k in recall.AT)
        table.add_row(one.asked, one.mode, one.by, str(one.questions), *shares)
    console.print(table)
    if report.told is None:
        return
    out, wrongly = report.told.empty, report.told.wrongly
    console.print(
        f"Calibrated: {out.found} of {out.asked} questions about {report.left_out} pictures that "
        f"were not there came back empty ({out.value:.1%}), and wrongly {wrongly.found} of "
        f"{wrongly.asked} ({wrongly.value:.1%})."
    )
    columns = ("on", "wrongly empty at 90 empty", "empty at 10 wrongly empty")
    table = _table("Thresholds, %", columns, left={"on"})
    for line in report.curves:
        table.add_row(
            line.label, f"{100 * line.at_nine_tenths:.1f}", f"{100 * line.at_one_tenth:.1f}"
        )
    console.print(table)


def duplicates(report: DuplicatesReport) -> None:
    """Print recall by edit, candidates, pairs and templates."""
    console = Console()
    console.print(
        f"{report.photos} photos among {report.stored} pictures · visual: {report.model} · "
        f"policy {report.policy_version} · {report.seconds:.0f} s"
    )
    if report.edits:
        console.print(_edits(report.edits))
        console.print(f"All edits of the odd photos: {100 * report.odd.value:.1f} %")
    if report.pairs:
        console.print(_candidates(report.looked))
        console.print(_pairs(report.pairs))
    if report.templates:
        console.print(_families(report.templates))
    if report.statements:
        console.print(_statements(report))
    if report.labelled:
        console.print(_labelled(report.labelled))
    if report.banned:
        console.print(_banned(report.banned))
    for pair in report.labelled:
        if pair.found not in {pair.label, None}:
            names = f"{printable(pair.left)} · {printable(pair.right)}"
            click.echo(f"{names}: {pair.label}, called {pair.found}")


def _edits(edits: Sequence[EditFound]) -> Table:
    columns = ("edit", "asked", "all", "odd", "even", "candidate", "hash", "visual", "features")
    table = _table("Recall, %", columns, left={"edit"})
    for edit in edits:
        shares = (edit.all, edit.odd, edit.even, edit.candidate)
        sources = (edit.by_hash, edit.by_visual, edit.by_features)
        table.add_row(
            edit.title,
            "" if edit.expected is None else f"{edit.expected:.0%}".rstrip("%"),
            *(f"{100 * one.value:.1f}" for one in (*shares, *sources)),
            style="" if edit.met else "red",
        )
    return table


def _candidates(looked: Sequence[CandidateCounts]) -> Table:
    columns = ("pictures", "hash", "visual", "features", "together", "laid over", "most")
    table = _table("Candidates a picture, itself left out", columns, left={"pictures"})
    for one in looked:
        values = (one.by_hash, one.by_visual, one.by_features, one.together, one.laid_over)
        table.add_row(f"{one.pictures} {one.label}", *(f"{v:.3f}" for v in values), str(one.most))
    return table


def _pairs(found: Sequence[PairwiseErrors]) -> Table:
    columns = ("pictures", "way", "pairs", "false", "which")
    table = _table("Called copies of each other", columns, left={"pictures", "way", "which"})
    for pairs in found:
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
    return table


def _families(kinds: Sequence[TemplateErrors]) -> Table:
    columns = (
        "family", "pairs", "copies", "with changes", "variants", "unrelated", "false", "recognised",
        "verdicts one after another",
    )  # fmt: skip
    left = {"family", "verdicts one after another"}
    table = _table("Families: pairs of different instances", columns, left)
    for kind in kinds:
        verdicts = ", ".join(f"{n} {name}" for name, n in kind.verdicts.items())
        unrelated = kind.unconfirmed - kind.variants
        counts = (kind.pairs, kind.pairs - kind.unconfirmed, kind.changed, kind.variants, unrelated)
        own = f"{kind.copies.found}/{kind.copies.asked}"
        table.add_row(
            kind.kind,
            *map(str, (*counts, kind.false)),
            own,
            verdicts,
            style="" if kind.met else "red",
        )
    return table


def _statements(report: DuplicatesReport) -> Table:
    columns = ("statement", "made", "true, %", "changes", "named, %", "false ones")
    table = _table(
        "Statements against the truth of the edits", columns, {"statement", "false ones"}
    )
    for one in report.statements:
        table.add_row(
            one.code,
            str(one.true.asked),
            f"{100 * one.true.value:.1f}" if one.true.asked else "",
            str(one.named.asked),
            f"{100 * one.named.value:.1f}" if one.named.asked else "",
            printable("; ".join(one.false[:2])),
        )
    if report.regions is not None:
        true, found = report.regions.true, report.regions.shown
        shares = (f"{100 * share.value:.1f}" for share in (true, found))
        table.add_row("regions", str(true.asked), next(shares), str(found.asked), next(shares), "")
    return table


def _labelled(pairs: Sequence[LabelledPair]) -> Table:
    columns = ("label", "pairs", *LABELS, "refused", "no candidate")
    table = _table("Labelled pairs: relations found", columns, left={"label"})
    for label in LABELS:
        of = [pair for pair in pairs if pair.label == label]
        found = [sum(pair.found == one for pair in of) for one in (*LABELS, None)]
        missed = sum(pair.found is not None and not pair.candidate for pair in of)
        style = "red" if any(pair.false for pair in of) else ""
        table.add_row(label, *map(str, (len(of), *found, missed)), style=style)
    return table


def _banned(edits: Sequence[BannedFound]) -> Table:
    columns = ("edit", "found after", "blocked", "found before", "blocked then")
    table = _table("Copies of banned photos", columns, left={"edit"})
    for edit in edits:
        shares = (edit.after, edit.blocked_after, edit.before, edit.blocked_before)
        counts = (f"{share.found}/{share.asked}" for share in shares)
        table.add_row(edit.name, *counts, style="" if edit.met else "red")
    return table


def _table(title: str, columns: Sequence[str], left: Collection[str]) -> Table:
    """Make a table whose columns are aligned to the right, but for some."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right")
    return table
