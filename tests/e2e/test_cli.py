"""The command line against real data: alone, beside a service, and over HTTP."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cli.main import run
from core.fingerprint.visual_words import FEATURES_VERSION
from core.imaging.decoding import NEWEST_PIXELS_VERSION
from core.queries.export import Exporter
from tests.doubles import tiny_models
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples.pictures import EDITS, jpeg, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, a mirrored copy of the first, and a file that is no picture."""
    made = tmp_path / "photos"
    made.mkdir()
    first = photo(1)
    (made / "a.jpg").write_bytes(jpeg(first))
    (made / "b.jpg").write_bytes(jpeg(photo(2)))
    (made / "c.jpg").write_bytes(EDITS["mirror"].apply(first))
    (made / "d.png").write_bytes(b"not a picture")
    return made


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """Yield a running service on a folder of its own."""
    service = Service(tmp_path / "data").start()
    try:
        yield service
    finally:
        service.client.close()
        assert service.stop() == 0


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command with --json, and return its output."""
    run([*map(str, arguments), "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def kinds(answer: dict[str, Any]) -> dict[str, str]:
    """Verdict, or `failed`, by the file's name."""
    return {
        Path(item["file"]).name: item["verdict"]["kind"] if item.get("verdict") else "failed"
        for item in answer["items"]
    }


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """Remove the times from an answer, and return it."""
    for item in answer["items"]:
        del item["verdict"]["decided_at"], item["decision"]["at"]
    return answer


EXPECTED = {"a.jpg": "new", "b.jpg": "new", "c.jpg": "near_duplicate", "d.png": "failed"}


def test_alone_it_ingests_goes_on_checks_and_reindexes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing running: the command is the engine while it lasts, and leaves nothing behind."""
    before = psutil.Process().children(recursive=True)
    where = ("--data", tmp_path / "data", "--model", "none")
    first = told(capsys, "ingest", folder, *where)
    assert kinds(first) == EXPECTED
    original = first["items"][2]["verdict"]["original"]
    assert original["external_id"] == (folder / "a.jpg").as_posix()
    assert first["items"][3]["error"]["type"] == "unsupported"

    again = told(capsys, "ingest", folder, *where)
    assert [item["already"] for item in again["items"]] == [True, True, True, False]
    assert kinds(again) == EXPECTED

    checked = told(capsys, "check", folder / "c.jpg", *where)
    assert kinds(checked) == {"c.jpg": "exact"}

    for file in (tmp_path / "data").glob("index.sqlite*"):
        file.unlink()
    made = told(capsys, "reindex", *where)
    assert made["records"] == 3
    after = told(capsys, "check", folder / "c.jpg", *where)
    assert timeless(after) == timeless(checked)
    assert psutil.Process().children(recursive=True) == before


@pytest.mark.parametrize("found", [True, False])
def test_beside_a_service_the_holder_settles(
    folder: Path, up: Service, capsys: pytest.CaptureFixture[str], found: bool
) -> None:
    """Another process sends it a task, or accepts, waits, and reads the holder's verdict."""
    where = ("--data", up.data, "--model", "none")
    if not found:
        (up.data / "service.json").unlink()
    answer = told(capsys, "ingest", folder, *where)
    assert kinds(answer) == EXPECTED
    until(lambda: up.client.get("/v1/stats").json()["total"]["images"] == 3)
    assert told(capsys, "reindex", *where)["records"] == 3
    assert told(capsys, "reindex", "--url", up.url)["records"] == 3
    assert told(capsys, "backfill", "--url", up.url) == {"spaces": []}
    counts = {"tenant": "default", "pictures": 3, "made": 0, "unchanged": 0}
    counts |= {"no_bytes": 0, "left_out": 0, "failed": 0}
    old = told(capsys, "backfill", "features", *where)
    assert old == {"tenants": [{**counts, "version": FEATURES_VERSION}]}
    old = told(capsys, "backfill", "pixels", "--url", up.url)
    counts["unchanged"] = 3
    assert old == {"tenants": [{**counts, "version": NEWEST_PIXELS_VERSION}]}
    assert run(["calibrate", "--url", up.url, "--tenant", "default"]) == 2
    assert kinds(told(capsys, "check", folder / "b.jpg", *where)) == {"b.jpg": "exact"}


def test_over_http_it_is_a_client_like_any_other(
    folder: Path, up: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options set fields of all files, output is for people, and the exit code shows failures."""
    fields = ("--category", "shoes", "--owner", "seller-7", "--tag", "red", "--tag", "new")
    assert run(["ingest", str(folder), "--url", up.url, *fields]) == 1
    said = capsys.readouterr().out
    assert said.endswith("4 files: 2 new, 1 near duplicate, 1 failed\n")
    listed = up.client.get("/v1/images", params={"category": "shoes", "tag": "red"}).json()
    assert [item["owner_id"] for item in listed["items"]] == ["seller-7"] * 3

    assert run(["check", str(folder / "c.jpg"), "--url", up.url]) == 0
    assert "1 files: 1 exact" in capsys.readouterr().out


def test_keys_are_sent(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one: a plain line and code 2; with one, the tenant's own pictures."""
    service = Service(
        tmp_path / "data", settings={"SEENIT_API_KEYS": "a-key-that-is-long:shop:write"}
    ).start()
    try:
        picture = str(folder / "a.jpg")
        for command in ("check", "ingest"):
            assert run([command, picture, "--url", service.url]) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.startswith("seenit: the service does not know this key: pass one of")
        assert run(["check", picture, "--url", service.url, "--key", "a-key-that-is-long"]) == 0
    finally:
        service.client.close()
        assert service.stop() == 0


def test_a_taken_port_is_one_plain_line(
    shown: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error comes before anything is opened."""
    other = tmp_path / "other"
    assert run(["up", "--port", str(shown.port), "--data", str(other)]) == 2
    said = capsys.readouterr().err
    assert said == f"seenit: cannot listen on 127.0.0.1:{shown.port}: address already in use\n"
    assert not other.exists()


def test_an_ingest_that_was_cut_off_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files accepted before are settled once, and the rest follows."""
    where = ("--data", tmp_path / "data", "--model", "none")
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    (half / "c.jpg").unlink()
    moved = tmp_path / "whole"
    half.rename(moved)
    told(capsys, "ingest", moved, *where)
    shutil.copy(folder / "c.jpg", moved)
    answer = told(capsys, "ingest", moved, *where)
    assert [item["already"] for item in answer["items"]] == [True, True, False, False]
    assert kinds(answer) == EXPECTED


SAID = {
    "a.jpg": {"title": "a red cat", "category": "pets", "tags": ["cat", "red"]},
    "b.jpg": {"title": "the blue sky of a dog", "category": "skies", "tags": ["sky"]},
    "c.jpg": {"title": "a photo of a receipt", "category": "paper", "owner_id": "it's mine"},
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with a tiny model of each kind, two photos and a mirrored copy."""
    folder = tmp_path_factory.mktemp("shown")
    seeing, reading = (folder / name for name in ("clip", "sentences"))
    tiny_models.clip(seeing)
    tiny_models.sentences(reading)
    settings = {"SEENIT_MODEL": str(seeing), "SEENIT_CAPTION_MODEL": str(reading)}
    with serving(folder / "data", **settings) as service:
        first = photo(1)
        files = (jpeg(first), jpeg(photo(2)), EDITS["mirror"].apply(first))
        for (name, fields), data in zip(SAID.items(), files, strict=True):
            answer = service.upload([(name, data)], wait=60, **fields)  # type: ignore[arg-type]  # lists too
            assert answer.status_code == 200, answer.text
        until(lambda: service.client.get("/v1/stats").json()["log"]["lag"] == 0)
        yield service


def names(answer: dict[str, Any]) -> list[str]:
    """File names of the hits, best first."""
    return [hit["image"]["filename"] for hit in answer["hits"]]


def test_pictures_are_found_by_words_and_by_example(
    shown: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Filters and groups work over HTTP; the file of a search by example is not stored."""
    where = ("--url", shown.url)
    whole = told(capsys, "search", "red", "cat", *where)
    assert whole["used"] == ["visual", "caption", "keyword"]
    assert names(whole)[0] == "a.jpg"
    only = told(capsys, "search", "sky", *where, "--mode", "keyword", "--category", "skies")
    assert names(only) == ["b.jpg"]
    mine = told(capsys, "search", "cat", *where, "--owner-id", "it's mine", "--no-collapse")
    assert names(mine) == ["c.jpg"]
    best = told(capsys, "search", "a", "photo", *where, "--mode", "caption", "--group-by", "tag")
    assert {hit["group"] for hit in best["hits"]} == {"cat", "red", "sky"}

    file = tmp_path / "asked.jpg"
    file.write_bytes(jpeg(photo(2)))
    near = told(capsys, "similar", file, *where)
    assert names(near)[0] == "b.jpg"
    assert near["hits"][0]["similarities"]["visual"] == pytest.approx(1, abs=0.01)
    assert told(capsys, "search", *where, "--image", file, "--mode", "visual") | {"took_ms": 0} == (
        near | {"took_ms": 0}
    )
    stored = near["hits"][0]["image"]["image_id"]
    for space in ("visual", "caption"):
        others = told(capsys, "similar", stored, *where, "--space", space)
        assert names(others) == ["a.jpg"]
    assert len(shown.images()) == 3

    assert run(["search", "red", "cat", *where]) == 0
    assert "a red cat" in capsys.readouterr().out
    assert run(["similar", str(file), *where, "--space", "caption"]) == 1
    assert "a file has no caption" in capsys.readouterr().err


def test_other_decisions_are_asked_for_by_name(
    folder: Path, up: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise only allowed ones are found; without keys this machine may name others."""
    kept = told(capsys, "ingest", folder, "--url", up.url)["items"]
    first = next(one["image_id"] for one in kept if one["file"].endswith("a.jpg"))
    up.client.put(f"/v1/images/{first}/decision", json={"value": "block"}).raise_for_status()
    up.client.patch(f"/v1/images/{first}", json={"title": "a heron"}).raise_for_status()

    def found(*more: str) -> list[str]:
        asked = ("search", "heron", "--mode", "keyword", "--url", up.url)
        hits = told(capsys, *asked, *more)["hits"]
        return [hit["image"]["image_id"] for hit in hits]

    assert found() == found("--decision", "allow") == []
    assert found("--decision", "block") == [first]
    assert found("--decision", "allow", "--decision", "block") == [first]


def test_a_question_becomes_a_prompt(
    shown: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its citations for people, its blocks for a program."""
    where = ("--url", shown.url)
    file = tmp_path / "asked.jpg"
    file.write_bytes(jpeg(photo(2)))
    stored = shown.images()[0]["image_id"]
    given = ("--image", file, "--image", stored, "--format", "anthropic", "--deliver", "reference")
    answer = told(capsys, "context", "a red cat", *where, *given)
    assert answer.keys() >= {"messages", "blocks", "citations", "dropped", "estimated_tokens"}
    arguments = ["context", "a red cat", *map(str, (*where, *given))]
    assert run([*arguments, "--blocks"]) == 0
    assert json.loads(capsys.readouterr().out) == answer["blocks"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert f"{len(answer['citations'])} pictures" in said
    for citation in answer["citations"]:
        assert f"{citation['label']} " in said
    none = told(capsys, "context", "a red cat", *where, "--token-budget", 1)
    assert none["citations"] == []
    assert none["reason"]


def test_counts_are_those_of_the_service(
    shown: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """In full as JSON, in words for people."""
    assert told(capsys, "stats", "--url", shown.url) == shown.client.get("/v1/stats").json()
    assert run(["stats", "--url", shown.url]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 pictures: ")
    assert "pets" in said


def test_an_export_holds_what_the_service_tells(
    shown: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every format, beside the running service, with vectors like those it compares."""
    where = ("--data", str(shown.data))
    records = {one["image_id"]: one for one in shown.images()}
    lines = tmp_path / "out.jsonl"
    assert told(capsys, "export", *where, "--out", lines)["records"] == 3
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    vectors = {one["image_id"]: one.pop("vectors") for one in read}
    assert read == list(records.values())[::-1]
    a, b, c = records
    assert [sorted(space.partition("-")[0] for space in vectors[n]) for n in (a, b, c)] == [
        ["caption", "visual"],
        ["caption", "visual"],
        ["caption"],
    ]
    for space in vectors[a]:
        kind = space.partition("-")[0]
        near = told(capsys, "similar", a, "--url", shown.url, "--space", kind)
        cosine = np.dot(vectors[a][space], vectors[b][space])
        assert near["hits"][0]["similarities"][kind] == pytest.approx(cosine, abs=1e-6)

    assert run(["export", *where]) == 0
    assert capsys.readouterr().out == lines.read_text()
    statements = tmp_path / "out.SQL"
    assert run(["export", *where, "--out", str(statements), "--table", "seen"]) == 0
    db = sqlite3.connect(":memory:")
    db.executescript(statements.read_text())
    found = db.execute("SELECT image_id, owner_id FROM seen ORDER BY image_id").fetchall()
    assert found == [(n, records[n]["owner_id"]) for n in (a, b, c)]
    db.close()
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    table = tmp_path / "out.parquet"
    assert run(["export", *where, "--out", str(table), "--no-vectors", "--category", "pets"]) == 0
    assert parquet.read_table(table).column("image_id").to_pylist() == [a]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.SQL",
        "out.jsonl",
        "out.parquet",
    ]


def test_an_export_that_fails_leaves_the_old_file(
    shown: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No half of a new one stays; a full disk is one plain line."""
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    whole = Exporter.records

    def broken(self: Exporter, *, vectors: bool) -> Iterator[Any]:
        yield next(whole(self, vectors=vectors))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Exporter, "records", broken)
    assert run(["export", "--data", str(shown.data), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"seenit: {out}: no space left on device\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.jsonl", "old")]
    nowhere = tmp_path / "no" / "out.jsonl"
    assert run(["export", "--data", str(shown.data), "--out", str(nowhere)]) == 1
    assert "no such file or directory" in capsys.readouterr().err


def test_with_nothing_running_it_looks_without_an_engine(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Searching, counting and exporting take no lock, settle nothing and need no model."""
    before = psutil.Process().children(recursive=True)
    monkeypatch.setenv("SEENIT_MODEL", "none")
    monkeypatch.setenv("SEENIT_CAPTION_MODEL", "none")
    where = ("--data", tmp_path / "data")
    told(capsys, "ingest", folder, *where, "--category", "shoes", "--tag", "red")
    (tmp_path / "data" / "engine.pid").unlink()
    found = told(capsys, "search", "red shoes", *where)
    assert (found["used"], len(found["hits"])) == (["keyword"], 2)
    off = [{"signal": signal, "reason": "off"} for signal in ("visual", "caption")]
    assert found["missing"] == off
    assert told(capsys, "stats", *where)["total"]["images"] == 3
    assert run(["export", "--data", str(tmp_path / "data")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(["similar", str(folder / "a.jpg"), "--data", str(tmp_path / "data")]) == 3
    assert "SEENIT_MODEL=none" in capsys.readouterr().err
    assert not (tmp_path / "data" / "engine.pid").exists()
    assert psutil.Process().children(recursive=True) == before
