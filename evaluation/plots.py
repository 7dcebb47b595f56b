"""Plots and contact sheets of false verdicts."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cli.rendering.printable import printable
from core.errors import SettingsError
from evaluation import retrieval
from evaluation.report import DuplicatesReport, WrongPair

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = 256
_LINE = 22
_COLUMNS = 3
_ROWS = 8


def need_plotting() -> None:
    """Raise SettingsError if matplotlib is not installed, before hours are spent."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError(
            "the plot needs matplotlib: pip install 'seenit[evaluate]', or ask for --no-plot"
        )


def duplicates(report: DuplicatesReport, folder: Path) -> list[Path]:
    """Draw what was measured: recall by edit, statements by code, pairs by family."""
    drawn = []
    if report.photos:
        drawn.append(recall(report, folder / "plot.png"))
    if report.statements:
        drawn.append(statements(report, folder / "statements.png"))
    if report.templates:
        drawn.append(families(report, folder / "families.png"))
    return drawn


def recall(report: DuplicatesReport, path: Path) -> Path:
    """Draw recall per edit, with the required recall and the recall that candidates allow."""
    edits = list(reversed(report.edits))
    places = range(len(edits))
    with _figure(9, 0.34 * len(edits) + 1.6, path) as axes:
        axes.barh(
            places,
            [100 * edit.candidate.value for edit in edits],
            color="#dbe3ea",
            label="among the candidates",
        )
        axes.barh(
            places,
            [100 * edit.all.value for edit in edits],
            height=0.5,
            color="#2f6f9f",
            label="called a copy",
        )
        marks = [
            (n, 100 * edit.expected) for n, edit in enumerate(edits) if edit.expected is not None
        ]
        axes.scatter(
            [mark for _, mark in marks],
            [n for n, _ in marks],
            marker="|",
            s=160,
            color="#c0392b",
            label="asked for",
            zorder=3,
        )
        axes.set_yticks(list(places), [edit.title for edit in edits])
        lowest = min([100 * edit.all.value for edit in edits], default=0)
        axes.set_xlim(max(0, min(90, lowest - 5)), 100.5)
        axes.set_xlabel(f"% of {report.photos} photos among {report.stored} pictures")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.08), ncols=3, frameon=False)
    return path


def statements(report: DuplicatesReport, path: Path) -> Path:
    """Draw by code the share of true statements, and of changes that a statement names."""
    codes = [one for one in reversed(report.statements) if one.true.asked or one.named.asked]
    places = np.arange(len(codes))
    with _figure(9, 0.36 * len(codes) + 1.4, path) as axes:
        axes.barh(
            places + 0.2,
            [100 * one.true.value if one.true.asked else 0 for one in codes],
            height=0.36,
            color="#2f6f9f",
            label="true, of those made",
        )
        axes.barh(
            places - 0.2,
            [100 * one.named.value if one.named.asked else 0 for one in codes],
            height=0.36,
            color="#e0a458",
            label="named, of the changes made",
        )
        labels = [f"{one.code} ({one.true.asked}, {one.named.asked})" for one in codes]
        axes.set_yticks(list(places), labels)
        axes.axvline(98, color="#c0392b", linewidth=1)
        axes.set_xlim(0, 100.5)
        axes.set_xlabel("% (in brackets: statements made, changes made)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.08), ncols=2, frameon=False)
    return path


def families(report: DuplicatesReport, path: Path) -> Path:
    """Draw by family the pairs that are called copies, variants, or nothing."""
    kinds = list(reversed(report.templates))
    places = range(len(kinds))
    with _figure(9, 0.3 * len(kinds) + 1.4, path) as axes:
        left = [0] * len(kinds)
        for label, colour, counts in (
            ("copy", "#c0392b", [one.pairs - one.unconfirmed for one in kinds]),
            ("variant", "#2f6f9f", [one.variants for one in kinds]),
            ("unrelated", "#dbe3ea", [one.unconfirmed - one.variants for one in kinds]),
        ):
            axes.barh(places, counts, left=left, color=colour, label=label)
            left = [start + count for start, count in zip(left, counts, strict=True)]
        axes.set_yticks(list(places), [one.kind for one in kinds])
        axes.set_xlabel("pairs of different instances")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.08), ncols=3, frameon=False)
    return path


@contextmanager
def _figure(width: float, height: float, path: Path) -> Iterator[Axes]:
    """Open the axes of a figure of a size in inches, and save it at the end."""
    import matplotlib as mpl  # noqa: PLC0415  an extra, and slow to load

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  after the backend is chosen

    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    yield axes
    figure.savefig(path, dpi=130)
    plt.close(figure)


def curves(report: retrieval.RetrievalReport, path: Path) -> Path:
    """Draw the share of wrongly empty answers over that of rightly empty ones, by threshold."""
    with _figure(7, 6, path) as axes:
        for line in report.curves:
            points = [(100 * one, 100 * other) for one, other in line.points]
            axes.plot(*zip(*points, strict=True), label=line.label)
        axes.fill_between(
            [90, 100], 0, 10, color="#dbe3ea", label="9 of 10, at the cost of 1 of 10"
        )
        if report.told is not None:
            axes.scatter(
                [100 * report.told.empty.value],
                [100 * report.told.wrongly.value],
                color="#c0392b",
                zorder=3,
                label="as calibrated",
            )
        axes.set_xlabel("% of the questions that nothing stored answers: empty")
        axes.set_ylabel("% of the questions that something stored answers: wrongly empty")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", frameon=False)
    return path


def contact(wrong: Sequence[WrongPair], folder: Path) -> list[Path]:
    """Draw every false verdict side by side; remove the sheets of an earlier run."""
    for old in folder.glob("wrong-*.png"):
        old.unlink()
    paths = []
    step = _COLUMNS * _ROWS
    for number, start in enumerate(range(0, len(wrong), step), 1):
        path = folder / f"wrong-{number}.png"
        _sheet(wrong[start : start + step]).save(path)
        paths.append(path)
    return paths


def _sheet(wrong: Sequence[WrongPair]) -> Image.Image:
    wide, high = 2 * _CELL + 12, _CELL + _LINE + 8
    made = Image.new("RGB", (_COLUMNS * wide, -(-len(wrong) // _COLUMNS) * high), "white")
    pen = ImageDraw.Draw(made)
    font = ImageFont.load_default(13)
    for number, pair in enumerate(wrong):
        left, top = number % _COLUMNS * wide, number // _COLUMNS * high
        pen.text((left + 4, top + 4), printable(pair.label[:76]), fill="black", font=font)
        for side, data in enumerate((pair.one, pair.other)):
            with Image.open(io.BytesIO(data)) as image:
                made.paste(image, (left + side * (_CELL + 4), top + _LINE))
    return made
