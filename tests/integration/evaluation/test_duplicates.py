"""`seenit evaluate duplicates`, on a handful of made photos and a private instance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from cli.commands.evaluate import command
from core.errors import InputError, SettingsError
from core.matching.policy import POLICY
from core.types import Candidates, Limits, Verdict
from evaluation import plots
from evaluation.duplicates import DuplicatesEvaluation
from evaluation.duplicates_plan import DuplicatesPlan
from evaluation.instance import StoredPicture
from evaluation.report import WrongPair, is_odd, share, shown
from tests.samples.image_files import HEIC
from tests.samples.pictures import EDITS, jpeg, photo


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three different photos and a copy of the last of them; two others as look-alikes."""
    photos, others = tmp_path / "photos", tmp_path / "others"
    photos.mkdir()
    others.mkdir()
    for seed in range(3):
        (photos / f"{seed}.jpg").write_bytes(jpeg(photo(seed, 448, 336)))
    (photos / "3.jpg").write_bytes(EDITS["half"].apply(photo(2, 448, 336)))
    for seed in (10, 11):
        (others / f"{seed}.jpg").write_bytes(jpeg(photo(seed, 320, 240)))
    return photos, others


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code, and what was written to standard output."""
    ended = CliRunner().invoke(command, ["duplicates", *map(str, arguments)], standalone_mode=False)
    if ended.exception is not None:
        raise ended.exception
    return int(ended.return_value), ended.stdout


def test_counts_what_is_recognised(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Edits are found, different photos are not, the copy among the photos is named as a pair."""
    photos, others = folders
    code, said = run(
        photos, "--lookalikes", others, "--model", "none", "--out", tmp_path / "out",
        "--edit", "mirror", "--edit", "crop-70", "--no-templates", "--all-pairs", "--json",
    )  # fmt: skip
    report = json.loads(said)
    assert code == 1
    assert (report["photos"], report["stored"], report["copies"]) == (4, 6, {"3.jpg": "2.jpg"})
    assert [(edit["name"], edit["all"], edit["missed"]) for edit in report["edits"]] == [
        ("mirror", {"found": 4, "asked": 4}, []),
        ("crop-70", {"found": 4, "asked": 4}, []),
    ]
    assert [
        (row["label"], row["way"], row["pairs"], [{p["one"], p["other"]} for p in row["confirmed"]])
        for row in report["pairs"]
    ] == [
        ("photos", "pipeline", 6, [{"2.jpg", "3.jpg"}]),
        ("look-alikes", "pipeline", 1, []),
        ("photos", "all pairs", 6, [{"2.jpg", "3.jpg"}]),
        ("look-alikes", "all pairs", 1, []),
        ("edits", "proposed", report["pairs"][-1]["pairs"], []),
    ]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert (tmp_path / "out" / "plot.png").exists()
    with Image.open(tmp_path / "out" / "wrong-1.png") as sheet:
        assert sheet.width > 1000


def test_known_pairs_are_no_fault(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A pair that was named beforehand counts for nothing, and no sheet is made of it."""
    photos, _ = folders
    known = tmp_path / "known.txt"
    known.write_text("# the same photo\n3.jpg 2.jpg\n")
    code, said = run(
        photos, "--known", known, "--model", "none", "--out", tmp_path / "out",
        "--edit", "grey", "--no-templates", "--no-plot",
    )  # fmt: skip
    assert code == 0
    assert "the same photo" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.json"]


def test_statements_and_families_are_judged(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The report holds truth by statement and false verdicts by family, and plots of both."""
    photos, _ = folders
    out = tmp_path / "out"
    code, output = run(
        photos, "--limit", "1", "--model", "none", "--out", out, "--edit", "crop-70",
        "--family", "captions", "--family", "QR codes", "--instances", "2", "--json",
    )  # fmt: skip
    report = json.loads(output)
    captions, codes = report["templates"]
    assert (captions["kind"], captions["pairs"], captions["unconfirmed"]) == ("captions", 1, 0)
    assert (codes["kind"], codes["pairs"], codes["unconfirmed"]) == ("QR codes", 1, 1)
    assert [kind["false"] for kind in report["templates"]] == [0, 0]
    assert [kind["copies"] for kind in report["templates"]] == [{"found": 2, "asked": 2}] * 2
    (crop,) = (one for one in report["statements"] if one["code"] == "cropped")
    assert crop["named"]["asked"] == 1
    assert code == 0
    assert {path.name for path in out.glob("*.png")} >= {
        "plot.png", "statements.png", "families.png",
    }  # fmt: skip


def test_copies_of_banned_photos_are_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies uploaded after a ban are blocked, and those uploaded before it once it comes."""
    monkeypatch.setattr("evaluation.banned._EDITS", ("meme", "collage"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(4):
        (photos / f"{seed}.jpg").write_bytes(jpeg(photo(seed, 448, 336)))
    _, output = run(
        photos, "--model", "none", "--out", tmp_path / "out", "--edit", "grey", "--banned", "1",
        "--no-templates", "--no-plot", "--json",
    )  # fmt: skip
    banned = json.loads(output)["banned"]
    one = {"found": 1, "asked": 1}
    assert [edit["name"] for edit in banned] == ["meme", "collage"]
    assert (banned[0]["after"], banned[0]["before"]) == (one, one)
    assert (banned[0]["blocked_after"], banned[0]["blocked_before"]) == (one, one)


def test_pairs_are_checked_against_their_labels(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A copy, a different picture, and a copy that is labelled as different: the last is wrong."""
    del folders
    (tmp_path / "half.jpg").write_bytes(EDITS["half"].apply(photo(0, 448, 336)))
    table = tmp_path / "pairs.csv"
    table.write_text(
        "left,right,label\nphotos/0.jpg,half.jpg,copy\nphotos/1.jpg,half.jpg,different\n"
    )
    code, output = run("--pairs", table, "--model", "none", "--out", tmp_path / "out", "--json")
    report = json.loads(output)
    found = [(pair["right"], pair["label"], pair["found"]) for pair in report["labelled"]]
    assert found == [("half.jpg", "copy", "copy"), ("half.jpg", "different", "different")]
    assert (code, report["edits"], report["templates"]) == (0, [], [])
    table.write_text("left,right,label\nphotos/0.jpg,half.jpg,variant\n")
    code, output = run("--pairs", table, "--model", "none", "--out", tmp_path / "out", "--no-plot")
    assert code == 1
    assert "0.jpg · half.jpg: variant, called copy" in output


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,b,c", "the first line has to be `left,right,label`"),
        ("left,right,label\nphotos/0.jpg,photos/1.jpg,same", "line 2.*copy, variant, different"),
        ("left,right,label\nphotos/0.jpg,photos/99.jpg,copy", "line 2: there is no file .*99.jpg"),
    ],
)
def test_tables_of_pairs_are_checked(
    folders: tuple[Path, Path], tmp_path: Path, lines: str, message: str
) -> None:
    """A wrong header, label or file is an error that names the line."""
    del folders
    table = tmp_path / "pairs.csv"
    table.write_text(lines + "\n")
    with pytest.raises(InputError, match=message):
        run("--pairs", table, "--model", "none")


def test_folder_or_pairs_are_needed() -> None:
    """Without either the command says what to name."""
    with pytest.raises(InputError, match="name a FOLDER"):
        run("--no-plot")


@pytest.mark.parametrize("formats", [None, "jpeg,heic"])
def test_photos_are_decoded_by_the_setting(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    formats: str | None,
) -> None:
    """HEIC among them is refused by name where it is off, and edited like the others where on."""
    photos, _ = folders
    (photos / "4.heic").write_bytes(HEIC)
    if formats is not None:
        monkeypatch.setenv("SEENIT_FORMATS", formats)
    _, said = run(
        photos, "--model", "none", "--out", tmp_path / "out", "--edit", "grey",
        "--no-templates", "--no-plot", "--all-pairs", "--json",
    )  # fmt: skip
    report = json.loads(said)
    if formats is None:
        assert report["refused"]["4.heic"].startswith("HEIC is off here")
        assert report["edits"][0]["all"]["asked"] == 4
        return
    assert (report["refused"], report["edits"][0]["all"]["asked"]) == ({}, 5)


class Forgetful:
    """Stores everything and recognises nothing."""

    model = "none at all"
    limits = Limits()

    def ingest(self, items: Sequence[bytes]) -> list[StoredPicture]:
        """Return new verdicts; the last file cannot be read."""
        new = Verdict(
            kind="new", original=None, policy_version="1", pipeline_version="1", decided_at=""
        )
        return [
            *(StoredPicture(f"{n}", new, None) for n in range(len(items) - 1)),
            StoredPicture("", None, None, "torn"),
        ]

    def check(self, data: bytes) -> Verdict:
        """Nothing was ever seen."""
        del data
        return self.ingest([b"", b""])[0].verdict or pytest.fail("no verdict")

    def near(self, data: bytes) -> Candidates:
        """Return no candidates, whatever the picture."""
        del data
        return Candidates(())


def test_misses_are_counted_and_shown(folders: tuple[Path, Path]) -> None:
    """A missed edit is listed by name, shown side by side, and counted against its goal."""
    photos = tuple(sorted(folders[0].iterdir()))
    plan = DuplicatesPlan(photos=photos, edits=("grey", "collage"), families=())
    evaluation = DuplicatesEvaluation(Forgetful(), plan, POLICY, lambda *_: None)
    report = evaluation.run()
    assert report.refused == {"3.jpg": "torn"}
    assert [(edit.name, edit.all.found, edit.missed, edit.met) for edit in report.edits] == [
        ("grey", 0, ("0.jpg", "1.jpg", "2.jpg"), False),
        ("collage", 0, ("0.jpg", "1.jpg", "2.jpg"), True),
    ]
    assert [wrong.label for wrong in evaluation.wrong] == ["grey: new"] * 3


def test_halves_are_told_by_the_name() -> None:
    """Odd and even are those of the last hex digit of the name's SHA-256."""
    assert [is_odd(name) for name in ("a", "b", "c", "e")] == [True, True, False, False]
    assert share([True, False, True]).value == pytest.approx(2 / 3)
    assert share([]).value == 1


def test_sheets_hold_every_pair(tmp_path: Path) -> None:
    """Twenty-four pairs a sheet; those of an earlier run go."""
    (tmp_path / "wrong-9.png").write_bytes(b"old")
    small = shown(photo(1, 320, 240))
    wrong = [WrongPair(label=f"pair {n}", one=small, other=small) for n in range(25)]
    paths = plots.contact(wrong, tmp_path)
    assert [path.name for path in paths] == ["wrong-1.png", "wrong-2.png"]
    assert sorted(tmp_path.iterdir()) == paths


def test_missing_matplotlib_is_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the command refuses at once, with how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="pip install"):
        plots.need_plotting()
