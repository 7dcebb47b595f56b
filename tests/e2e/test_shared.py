"""Every command beside a service of several processes: it asks them, and is no engine itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tests.e2e.fleet import Fleet, fleet
from tests.samples.pictures import jpeg, photo


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Yield an API, a worker and a beat on a Redis and a folder."""
    folder = tmp_path_factory.mktemp("shared")
    index = (folder / "index.sqlite").as_uri().replace("file:", "sqlite:", 1)
    with fleet(folder / "fleet", weaviate=index) as made:
        yield made


class Shell:
    """Commands with the service's own settings, run here: starting Python takes seconds each."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
        """Run a command that ends with that code, and return its JSON."""
        ended = run([*words, "--json"])
        said = self._capsys.readouterr()
        assert ended == code, said.err
        return json.loads(said.out) if said.out else None


@pytest.fixture
def seenit(
    running: Fleet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """From a folder of its own, where nothing lies."""
    told = {**running.settings, "SEENIT_DATA": str(running.folder / "elsewhere")}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return Shell(capsys)


def test_every_command_asks_the_service(running: Fleet, seenit: Shell, tmp_path: Path) -> None:
    """Beside an API, a worker and a beat."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n in range(3):
        (pictures / f"{n}.jpg").write_bytes(jpeg(photo(n)))
    (pictures / "3.jpg").write_bytes(jpeg(photo(0).resize((320, 240)), quality=70))
    told = seenit("ingest", str(pictures), "--category", "seas")
    kinds = [row["verdict"]["kind"] for row in told["items"]]
    assert kinds == ["new", "new", "new", "near_duplicate"]

    checked = seenit("check", str(pictures / "1.jpg"))
    assert [row["verdict"]["kind"] for row in checked["items"]] == ["exact"]
    assert seenit("stats")["total"]["images"] == 4
    found = seenit("search", "seas", "--mode", "keyword")
    assert len(found["hits"]) == 3, "a copy shows as its original"
    assert seenit("search", "seas", "--mode", "visual", code=3) is None

    again = seenit("reindex")
    assert again["records"] == 4
    assert seenit("stats")["total"]["images"] == 4
    assert seenit("backfill")["spaces"] == []
    assert seenit("model", "list")["spaces"] == []
    refused = seenit("calibrate", code=1)["spaces"]
    assert {one["kind"] for one in refused} == {"visual", "caption"}
    findings = {one["name"]: one["state"] for one in seenit("doctor")}
    assert (findings["queue"], findings["index"], findings["workers"]) == ("ok", "ok", "ok")

    exported = tmp_path / "all.jsonl"
    seenit("export", "--out", str(exported))
    assert len(exported.read_text().splitlines()) == 4
    assert not (running.folder / "elsewhere" / "engine.pid").exists(), "no engine was there"
    assert list(running.blobs.keys("checks/")) == []
