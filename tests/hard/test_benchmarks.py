"""The benchmarks in their quick form: each topic, on made and on real photos.

No figure is compared with a time: the tests check that each one is present and finite.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.__main__ import LONG
from tests.backends.requirements import absent
from tests.backends.server_process import ROOT, outside
from tests.samples.pictures import jpeg, photo

pytestmark = [pytest.mark.hard, pytest.mark.timeout(900)]

SECONDS = 800.0
TOPICS = (
    "decoding",
    "lookup",
    "searching",
    "settling",
    "queueing",
    "stages",
    "embedding",
    "verdicts",
    "keepalive",
    "checking",
    "scaling",
    "nearest",
    "features",
    "drawings",
    "prompts",
    "million",
)
ON_BOTH = (
    "decoding",
    "stages",
    "verdicts",
    "keepalive",
    "checking",
    "scaling",
    "nearest",
    "prompts",
)
"""Topics that measure made photos, and real ones beside them."""


class Told(NamedTuple):
    """Outcome of a run: its output, and the report it wrote."""

    code: int
    printed: str
    errors: str
    written: dict[str, Any]

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """Return those of one topic."""
        return [row for row in self.written["rows"] if row["topic"] == topic]


def bench(folder: Path, *words: str, photos: Path | None) -> Told:
    """Run the command in a process of its own, with only these real photos."""
    out = folder / "bench.json"
    named = {name: value for name, value in os.environ.items() if name.startswith("SEENIT_TEST_")}
    if photos is not None:
        named["SEENIT_PHOTOS"] = str(photos)
    else:
        named.pop("SEENIT_TEST_SHARED", None)
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", *words, "--out", str(out)],
        env={**outside(), **named, "COLUMNS": "240"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    written = json.loads(out.read_text()) if out.exists() else {}
    return Told(run.returncode, run.stdout, run.stderr, written)


def plain(folder: Path, count: int) -> Path:
    """Make a folder of pictures in two formats, with a broken one and a text among them."""
    (folder / "below").mkdir(parents=True)
    for seed in range(count):
        made = photo(seed + 50, 400, 300)
        if seed % 2:
            (folder / f"{seed}.JPG").write_bytes(jpeg(made))
        else:
            made.save(folder / "below" / f"{seed}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Run all topics once, on the photos that the environment names, else on drawn ones."""
    folder = tmp_path_factory.mktemp("bench")
    named = os.environ.get("SEENIT_PHOTOS")
    return bench(folder, photos=Path(named) if named else plain(folder / "photos", 48))


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_measures_something(quick: Told, topic: str) -> None:
    """Rows in the table and in the file, with figures that are numbers."""
    rows = quick.rows(topic)
    assert rows, quick.errors
    for row in rows:
        if needs := row["details"].get("needs"):
            absent(*needs.partition(": ")[::2])
        assert row["failed"] is None, quick.printed
        assert math.isfinite(row["value"])
        assert row["value"] > 0 or row["unit"].startswith("%")
        assert row["work"] in quick.printed
    kinds = {row["photos"] for row in rows}
    assert kinds == {"made", "real"} if topic in ON_BOTH else kinds <= {"made", "real", None}


def test_the_quick_form_runs_all_topics_and_says_that_it_is_quick(quick: Told) -> None:
    """The long ones too; its figures are held against no target."""
    assert tuple(quick.written["seconds"]) == TOPICS
    assert quick.written["quick"] is True
    assert {row["target"] for row in quick.written["rows"]} == {None}
    assert "the quick form" in quick.printed
    needs = any("needs" in row["details"] for row in quick.written["rows"])
    assert needs or quick.code == 0, quick.errors


def test_make_measure_names_the_long_topics() -> None:
    """The long topics are those that `make measure` runs; the rest belong to `make bench`."""
    shown = subprocess.run(
        ["make", "-n", "measure", "QUICK=1"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert f"-m benchmarks {' '.join(LONG)} --out out/measure.json --quick" in shown


def test_without_real_photos_it_says_so(tmp_path: Path) -> None:
    """In one line; the made ones are measured."""
    told = bench(tmp_path, "decoding", photos=None)
    assert told.code == 0, told.errors
    said = "SEENIT_PHOTOS is not set: made photos only, so no figure is of real ones."
    assert told.printed.splitlines().count(said) == 1
    assert [row["photos"] for row in told.rows("decoding")] == ["made"]


def test_photos_are_taken_by_the_folders_they_lie_in(tmp_path: Path) -> None:
    """Originals, look-alikes and captioned ones; what lies in other folders is left out."""
    for name, count in (("originals", 9), ("lookalikes", 9), ("captioned", 4), ("hard", 3)):
        plain(tmp_path / "photos" / name, count)
    told = bench(tmp_path, "decoding", "stages", photos=tmp_path / "photos")
    assert told.code == 0, told.errors
    assert "and 25 real ones" in told.printed  # with one broken file in each folder
    (row,) = [row for row in told.rows("stages") if row["photos"] == "real"]
    assert row["details"]["stored"] in {11, 12, 13, 14}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (None, "is no folder: name one with originals/, lookalikes/ and captioned/, or one of"),
        (3, "has 4 pictures, 4 of them to be uploaded; name a folder with at least 16."),
    ],
)
def test_a_folder_that_cannot_be_measured_is_named(
    tmp_path: Path, count: int | None, said: str
) -> None:
    """The run ends before any measurement."""
    folder = tmp_path / "photos"
    if count is not None:
        plain(folder, count)
    told = bench(tmp_path, "decoding", photos=folder)
    assert told.code == 1
    assert told.errors.startswith(f"SEENIT_PHOTOS={folder} {said}")
    assert "Traceback" not in told.errors
    assert told.written == {}
