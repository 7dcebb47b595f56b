"""What an evaluation found, as tables on a terminal, and the table of captions it reads."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.file_reading import read_text
from core.errors import InputError
from evaluation import retrieval as recall
from evaluation.report import DuplicatesReport

_HEADER = ["image", "caption"]


def captioned(
    table: Path, folder: Path, limit: int | None
) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """File and captions by name, in the order of the table; the first `limit` pictures of it.

    Raise InputError for another header, a line without its two columns, a name that leaves the
    folder, a file that is not there.
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
    """Recall by question and by mode, and what came back empty."""
    console = Console()
    models = " · ".join(f"{kind}: {name}" for kind, name in report.models.items())
    console.print(f"{report.pictures} pictures · {models} · {report.seconds:.0f} s")
    table = Table(title="Recall, %", title_justify="left", header_style="bold")
    for name in ("asked", "mode", "by", "questions", *(f"R@{k}" for k in recall.AT)):
        left = name in {"asked", "mode", "by"}
        table.add_column(name, justify="left" if left else "right")
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
    table = Table(title="Thresholds, %", title_justify="left", header_style="bold")
    for name in ("on", "wrongly empty at 90 empty", "empty at 10 wrongly empty"):
        table.add_column(name, justify="left" if name == "on" else "right")
    for line in report.curves:
        table.add_row(
            line.label, f"{100 * line.at_nine_tenths:.1f}", f"{100 * line.at_one_tenth:.1f}"
        )
    console.print(table)


def duplicates(report: DuplicatesReport) -> None:
    """Recall by edit, candidates, pairs and templates."""
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
