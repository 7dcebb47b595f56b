"""Every command beside a service of several processes: it asks them, and is no engine itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import ran
from tests.e2e.fleet import Fleet, fleet
from tests.pictures import jpeg, photo


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An API, a worker and a beat on a Redis and a folder."""
    folder = tmp_path_factory.mktemp("shared")
    index = (folder / "index.sqlite").as_uri().replace("file:", "sqlite:", 1)
    with fleet(folder / "fleet", weaviate=index) as made:
        yield made


def seenit(running: Fleet, *words: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    """Run a command with the service's own settings, and read its JSON."""
    done = ran({**running.settings, "SEENIT_DATA": str(running.folder / "elsewhere")}, *words)
    assert done.returncode == code, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout else None


def test_every_command_asks_the_service(running: Fleet, tmp_path: Path) -> None:
    """From a folder of its own, where nothing lies."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n in range(3):
        (pictures / f"{n}.jpg").write_bytes(jpeg(photo(n)))
    (pictures / "3.jpg").write_bytes(jpeg(photo(0).resize((320, 240)), quality=70))
    told = seenit(running, "ingest", str(pictures), "--category", "seas")
    kinds = [row["verdict"]["kind"] for row in told["items"]]
    assert kinds == ["new", "new", "new", "near_duplicate"]

    checked = seenit(running, "check", str(pictures / "1.jpg"))
    assert [row["verdict"]["kind"] for row in checked["items"]] == ["exact"]
    assert seenit(running, "stats")["total"]["images"] == 4
    found = seenit(running, "search", "seas", "--mode", "keyword")
    assert len(found["hits"]) == 3, "a copy shows as its original"
    assert seenit(running, "search", "seas", "--mode", "visual", code=3) is None

    again = seenit(running, "reindex")
    assert again["records"] == 4
    assert seenit(running, "stats")["total"]["images"] == 4
    assert seenit(running, "backfill")["spaces"] == []
    assert seenit(running, "model", "list")["spaces"] == []
    refused = seenit(running, "calibrate", code=1)["spaces"]
    assert {one["kind"] for one in refused} == {"visual", "caption"}
    findings = {one["name"]: one["state"] for one in seenit(running, "doctor")}
    assert (findings["queue"], findings["index"], findings["workers"]) == ("ok", "ok", "ok")

    exported = tmp_path / "all.jsonl"
    seenit(running, "export", "--out", str(exported))
    assert len(exported.read_text().splitlines()) == 4
    assert not (running.folder / "elsewhere" / "engine.pid").exists(), "no engine was there"
    assert list(running.blobs.keys("checks/")) == []
