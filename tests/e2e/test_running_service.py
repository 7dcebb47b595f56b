"""Commands beside a running `seenit up`: it answers for them, and none loads a model."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.service_address import read_address
from tests.backends.server_process import ROOT, outside
from tests.doubles import tiny_models
from tests.e2e import command
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo

WITHOUT = """
import sys
from cli.main import run
code = run(sys.argv[1:])
loaded = {"torch", "celery", "litestar", "transformers", "uvicorn"} & set(sys.modules)
assert not loaded, loaded
sys.exit(code)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return settings that name a tiny model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models.clip(folder / "clip")
    tiny_models.sentences(folder / "sentences")
    return {
        "SEENIT_MODEL": str(folder / "clip"),
        "SEENIT_CAPTION_MODEL": str(folder / "sentences"),
    }


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, models: dict[str, str]) -> Iterator[Service]:
    """Yield a service with API keys and two pictures of the tenant `shop`."""
    keys = "a-key-that-is-long:shop:write"
    data = tmp_path_factory.mktemp("up") / "data"
    with serving(data, SEENIT_API_KEYS=keys, **models) as running:
        running.client.headers["Authorization"] = "Bearer a-key-that-is-long"
        for number in (1, 2):
            answer = running.upload(
                [("a.jpg", jpeg(photo(number)))], wait=60, title=f"cat {number}"
            )
            assert answer.status_code == 200, answer.text
        until(lambda: running.client.get("/v1/stats").json()["log"]["lag"] == 0)
        yield running


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the bytes of the first picture."""
    path = tmp_path_factory.mktemp("asked") / "asked.jpg"
    path.write_bytes(jpeg(photo(1)))
    return path


def light(*words: object, **settings: str) -> dict[str, Any]:
    """Run a command in a process that loads neither models nor the service; return its JSON."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words), "--json"],
        env={**outside(), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def test_commands_use_the_service_and_load_nothing(up: Service, picture: Path) -> None:
    """For any tenant, with its models, and without a key."""
    where = ("--data", up.data, "--tenant", "shop")
    checked = light("check", picture, *where)["items"][0]["verdict"]
    assert (checked["kind"], checked["missing"]) == ("exact", [])
    assert light("search", "cat 2", *where)["used"] == ["visual", "caption", "keyword"]
    assert len(light("similar", picture, *where)["hits"]) == 2
    assert light("context", "a cat", *where, "--deliver", "url")["messages"]
    assert light("stats", *where)["total"]["images"] == 2
    assert light("stats", "--data", up.data)["total"]["images"] == 0
    assert light("ingest", picture, "--data", up.data, "--tenant", "b")["items"][0]["verdict"]
    other = ("stats", "--data", up.data, "--tenant", "b")
    until(lambda: light(*other)["total"]["images"] == 1)


def test_an_address_in_the_environment_overrides_the_folder(up: Service, tmp_path: Path) -> None:
    """SEENIT_URL with SEENIT_KEY, as a command's own options do; `--data` is nearer than it."""
    elsewhere = {"SEENIT_URL": up.url, "SEENIT_KEY": "a-key-that-is-long"}
    assert light("stats", SEENIT_DATA=str(tmp_path), **elsewhere)["total"]["images"] == 2
    assert light("stats", "--data", up.data, **elsewhere)["total"]["images"] == 0


def test_the_key_is_the_owners_and_of_no_back_up(up: Service) -> None:
    """Mode 0600, beside the blob store, which is all that a back-up copies."""
    file = up.data / "service.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = read_address(up.data)
    assert told is not None
    assert told.url == up.url
    assert told.secret not in up.log()
    for path in (up.data / "blobs").rglob("*"):
        assert path.name != file.name


def test_a_second_service_says_who_serves_the_folder(up: Service) -> None:
    """Where it wants the same port, and where it stands by on another one."""
    says = f"process {up.pid} serves the data folder {up.data} at {up.url}"
    ended = command.ran(up.settings, "up", "--port", str(up.port))
    assert ended.returncode == 2
    assert ended.stderr == (
        f"seenit: cannot listen on 127.0.0.1:{up.port}: address already in use; {says}\n"
    )
    with serving(up.data, **up.settings) as other:
        assert f"seenit: {says}; this one takes uploads in" in other.log()
        told = read_address(up.data)
        assert told is not None
        assert told.pid == up.pid
    assert read_address(up.data) == told
    assert command.ran(up.settings, "doctor").stdout.count(says) == 1


def test_what_a_killed_service_left_is_passed_over(
    tmp_path: Path, picture: Path, models: dict[str, str]
) -> None:
    """A command does its work by itself; the next service makes a key of its own."""
    none = dict.fromkeys(models, "none")
    with serving(tmp_path / "data", **none) as first:
        first.kill()
        left = read_address(first.data)
        assert left is not None
        ended = command.ran(first.settings, "check", str(picture))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert json.loads(ended.stdout)["items"][0]["verdict"]["kind"] == "new"
        first.start()
        again = read_address(first.data)
        assert again is not None
        assert (again.url, again.pid) == (first.url, first.pid)
        assert again.secret != left.secret
        moved = tmp_path / "copy"  # as another machine sees a folder that it shares
        shutil.copytree(first.data, moved, ignore=lambda *_: ["blobs", "spool"])
        (moved / "service.json").write_text(json.dumps({**vars(left), "url": first.url}))
        ended = command.ran({**none, "SEENIT_DATA": str(moved)}, "stats")
        assert (ended.returncode, ended.stderr) == (0, "")
    assert read_address(first.data) is None


def test_one_that_takes_over_leaves_its_own_address(tmp_path: Path) -> None:
    """Once the holder is gone."""
    with serving(tmp_path / "data") as holder, serving(tmp_path / "data") as other:
        told = read_address(holder.data)
        assert told is not None
        assert told.pid == holder.pid
        holder.stop()
        until(lambda: (now := read_address(other.data)) is not None and now.pid == other.pid)
        assert light("stats", "--data", other.data)["total"]["images"] == 0


def test_a_command_right_after_the_start_waits_for_the_models(
    tmp_path: Path, picture: Path, models: dict[str, str]
) -> None:
    """Its verdict misses none of them."""
    service = Service(tmp_path / "data", settings=models).start(ready=False)
    try:
        until(lambda: read_address(service.data) is not None, 60.0)
        ended = command.ran(service.settings, "check", str(picture))
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["items"][0]["verdict"]["missing"] == []
    finally:
        service.client.close()
        service.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "localhost"])
def test_a_service_on_other_addresses_is_found(tmp_path: Path, host: str) -> None:
    """A service on all addresses is reached over loopback."""
    keys = "a-key-that-is-long:shop:write"
    service = Service(tmp_path / "data", settings={"SEENIT_HOST": host, "SEENIT_API_KEYS": keys})
    service.start(ready=False)
    try:
        until(lambda: read_address(service.data) is not None, 60.0)
        command.ran(service.settings, "check", os.devnull)  # waits until it has started
        assert light("stats", "--data", service.data)["total"]["images"] == 0
    finally:
        service.client.close()
        service.stop()
