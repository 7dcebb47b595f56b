"""The command line against real data: alone, beside a service, and over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.main import run
from tests.e2e.service import Service
from tests.pictures import EDITS, jpeg, photo

pytestmark = pytest.mark.timeout(300)


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
    """A running service on a folder of its own."""
    service = Service(tmp_path / "data").start()
    try:
        yield service
    finally:
        service.client.close()
        assert service.stop() == 0


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """What a command answers with --json."""
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
    """An answer without the times at which it was given."""
    for item in answer["items"]:
        del item["verdict"]["decided_at"], item["decision"]["at"]
    return answer


EXPECTED = {"a.jpg": "new", "b.jpg": "new", "c.jpg": "near_duplicate", "d.png": "failed"}


def test_alone_it_ingests_goes_on_checks_and_reindexes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing running: the command is the engine while it lasts, and leaves nothing behind."""
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
    assert psutil.Process().children(recursive=True) == []


def test_beside_a_service_the_holder_settles(
    folder: Path, up: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process of the same folder accepts, waits, and sees what the holder made of it."""
    where = ("--data", up.data, "--model", "none")
    answer = told(capsys, "ingest", folder, *where)
    assert kinds(answer) == EXPECTED
    assert up.client.get("/v1/stats").json()["total"]["images"] == 3
    assert told(capsys, "reindex", *where)["records"] == 3
    assert kinds(told(capsys, "check", folder / "b.jpg", *where)) == {"b.jpg": "exact"}


def test_over_http_it_is_a_client_like_any_other(
    folder: Path, up: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """With fields for all of them, in words for people, and an exit code that tells of failures."""
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
        tmp_path / "data", settings={"SEENIT_API_KEYS": "a-long-key:shop:write"}
    ).start()
    try:
        picture = str(folder / "a.jpg")
        for command in ("check", "ingest"):
            assert run([command, picture, "--url", service.url]) == 2
            said = capsys.readouterr()
            assert said == ("", "seenit: the service wants a key that it knows: --key\n")
        assert run(["check", picture, "--url", service.url, "--key", "a-long-key"]) == 0
    finally:
        service.client.close()
        assert service.stop() == 0


def test_a_taken_port_is_one_plain_line(up: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before anything is opened."""
    other = up.data.parent / "other"
    assert run(["up", "--port", str(up.port), "--data", str(other)]) == 2
    said = capsys.readouterr().err
    assert said == f"seenit: cannot listen on 127.0.0.1:{up.port}: address already in use\n"
    assert not other.exists()


def test_an_ingest_that_was_cut_off_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was accepted before is settled once, and the rest follows."""
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
