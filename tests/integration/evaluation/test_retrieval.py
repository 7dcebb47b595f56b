"""`seenit evaluate retrieval`, on a handful of made photos with made captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.commands.evaluate import command
from core.errors import InputError
from evaluation.retrieval import curve, ranks
from tests.doubles.tiny_models import WORDS, clip, sentences
from tests.samples.pictures import jpeg, photo

THINGS = ("dog", "cat", "boat", "car", "tree", "horse", "train", "clock", "bread", "bird", "lamp")
THINGS += ("chair",)
KNOWN = [" ".join(pair) for pair in combinations(WORDS[3:], 2)][:12]
"""Words that the made models tell apart."""


@pytest.fixture
def captioned(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve photos, of each of which three people name the same thing that no other shows."""
    return written(tmp_path, THINGS)


def written(folder: Path, things: Sequence[str]) -> tuple[Path, Path]:
    """Write a table and photos; return both paths."""
    photos = folder / "photos"
    photos.mkdir()
    lines = ["image\tcaption"]
    for n, thing in enumerate(things):
        (photos / f"{n}.jpg").write_bytes(jpeg(photo(n, 320, 240)))
        lines += [f"{n}.jpg\t{said} {thing}" for said in ("one", 'a "small"', "look at the")]
    table = folder / "captions.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table, photos


def run(*arguments: str | Path) -> str:
    """Run the evaluation, and return its standard output."""
    ended = CliRunner().invoke(command, ["retrieval", *map(str, arguments)], standalone_mode=False)
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def test_by_words_alone(captioned: tuple[Path, Path], tmp_path: Path) -> None:
    """Every caption finds its photo, and what was not stored has nothing to be found by."""
    out = tmp_path / "out"
    models = ("--model", "none", "--caption-model", "none")
    said = run(*captioned, *models, "--leave-out", "0.25", "--out", out, "--json")
    report = json.loads(said)
    assert (report["pictures"], report["left_out"], report["refused"]) == (12, 3, {})
    assert [(one["mode"], one["by"], one["questions"], one["at"]) for one in report["found"]] == [
        ("keyword", "search", 12, {"1": 1.0, "5": 1.0, "10": 1.0}),
        ("hybrid", "search", 12, {"1": 1.0, "5": 1.0, "10": 1.0}),
    ]
    assert report["told"] == {
        "empty": {"found": 3, "asked": 3},
        "wrongly": {"found": 0, "asked": 5},
    }
    assert (report["calibrated"], report["curves"]) == ({}, [])
    assert json.loads((out / "report.json").read_text()) == report
    assert (out / "curve.png").exists()


def test_search_and_plain_products_find_the_same(tmp_path: Path) -> None:
    """With a made model of either kind: rank for rank, by the whole road of picture and text."""
    table = written(tmp_path, KNOWN)
    models = ("--model", clip(tmp_path / "clip"), "--caption-model", sentences(tmp_path / "words"))
    report = json.loads(
        run(*table, *models, "--leave-out", "0", "--no-plot", "--out", tmp_path, "--json")
    )
    at = {(one["asked"], one["mode"], one["by"]): one["at"] for one in report["found"]}
    for asked, mode in (
        ("text to image", "visual"),
        ("text to image", "caption"),
        ("text to image, every caption", "visual"),
    ):
        plain = at[asked, mode, "numpy"]
        assert at[asked, mode, "search"] == pytest.approx(plain, abs=1 / 12 + 1e-4)
    assert ("image to text", "visual", "numpy") in at
    assert report["told"] is None


def test_a_table_for_people(captioned: tuple[Path, Path], tmp_path: Path) -> None:
    """It shows the figures of the report, in words."""
    said = run(
        *captioned, "--model", "none", "--caption-model", "none", "--limit", "8",
        "--leave-out", "0.25", "--out", tmp_path / "out",
    )  # fmt: skip
    assert "8 pictures" in said
    assert "2 of 2 questions about 2 pictures that were not there" in " ".join(said.split())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "first line"),
        ("picture\tcaption\n0.jpg\tx\n", "first line"),
        ("image\tcaption\n0.jpg\n", "line 2"),
        ("image\tcaption\n0.jpg\t \n", "line 2"),
        ("image\tcaption\n../captions.tsv\tx\n", "no file"),
        ("image\tcaption\nabsent.jpg\tx\n", "no file absent.jpg"),
        ("image\tcaption\n0.jpg\tx\n0.jpg\ty\n", "no caption left"),
        ("image\tcaption\n", "no picture"),
    ],
)
def test_a_wrong_table_is_told(
    captioned: tuple[Path, Path], tmp_path: Path, table: str, says: str
) -> None:
    """Before anything is stored."""
    captioned[0].write_text(table)
    with pytest.raises(InputError, match=says):
        run(*captioned, "--model", "none", "--caption-model", "none", "--out", tmp_path / "out")


def test_ranks_are_those_of_the_best_right_one() -> None:
    """Counted from 0; of equals the first stored one is first; without a right one: no rank."""
    near = np.array([[0.9, 0.5, 0.7], [0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])
    assert ranks(near, np.array([[1, 2], [0, -1], [1, -1]])).tolist() == [1, 2, 1]
    assert ranks(near, np.array([[-1, -1]] * 3)).tolist() == [np.inf] * 3


def test_a_curve_goes_from_nothing_empty_to_all_of_it() -> None:
    """The curve names the rates at both goals."""
    drawn = np.random.default_rng(1)
    apart = curve("x", drawn.normal(5, 1, 1_000), drawn.normal(0, 1, 1_000))
    assert (apart.points[0], apart.points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert apart.at_nine_tenths < 0.01
    assert apart.at_one_tenth > 0.99
    assert apart.points == tuple(sorted(apart.points))
    alike = curve("x", drawn.normal(0, 1, 1_000), drawn.normal(0, 1, 1_000))
    assert alike.at_nine_tenths == pytest.approx(0.9, abs=0.03)
