"""`seenit doctor` on set-ups that are broken: a line for each check, and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.backends.server_process import ROOT, free_ports, outside
from tests.e2e.command import ran_here

pytestmark = pytest.mark.filterwarnings(
    # torch's own JIT, on Python versions that it does not know yet
    "ignore:`torch.jit.*:DeprecationWarning"
)

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 600\n"
BLOCKER = """
import os, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == os.environ.get("BLOCKED"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
LIGHT = {"SEENIT_MODEL": "none", "SEENIT_CAPTION_MODEL": "none"}
Make = Callable[[Path], Mapping[str, str]]


def _made(path: Path, data: bytes | None = b"x") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    return str(path)


def _with(name: str, data: bytes | None) -> Make:
    """Return a maker of a data folder in which one entry has other content."""

    def make(folder: Path) -> dict[str, str]:
        _made(folder / "data" / name, data)
        return {}

    return make


def _model(variable: str, name: str, data: bytes) -> Make:
    return lambda folder: {variable: str(Path(_made(folder / "model" / name, data)).parent)}


def _away(template: str, variable: str, **more: str) -> Make:
    """Return a maker of settings that name a server at a port without a listener."""

    def make(_: Path) -> dict[str, str]:
        ports = free_ports(2)
        given = {variable: template, **more}
        return {name: text.format(*ports) for name, text in given.items()}

    return make


def _lacking(module: str) -> Make:
    def make(folder: Path) -> dict[str, str]:
        _made(folder / "sitecustomize.py", BLOCKER.encode())
        return {"BLOCKED": module, "PYTHONPATH": str(folder)}

    return make


BUCKET = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "x"}
BROKEN: dict[str, tuple[Make, str]] = {
    "data is a file": (lambda folder: {"SEENIT_DATA": _made(folder / "file")}, "data"),
    "data below a file": (lambda folder: {"SEENIT_DATA": _made(folder / "f") + "/data"}, "data"),
    "data too long": (lambda folder: {"SEENIT_DATA": f"{folder}/{'x' * 300}"}, "data"),
    "data of nobody": (lambda _: {"SEENIT_DATA": "~no-such-user/data"}, "settings"),
    "lock is a folder": (_with("engine.lock", None), "engine"),
    "index is garbage": (_with("index.sqlite", b"garbage" * 999), "index"),
    "index is a folder": (_with("index.sqlite", None), "index"),
    "blobs are a file": (_with("blobs", b"x"), "store"),
    "model is a pointer": (_model("SEENIT_MODEL", "pytorch_model.bin", POINTER), "model"),
    "model without weights": (_model("SEENIT_MODEL", "config.json", b"{}"), "model"),
    "model is a page": (_model("SEENIT_MODEL", "model.safetensors", b"<html>"), "model"),
    "model of nobody": (lambda _: {"SEENIT_MODEL": "~no-such-user/model"}, "model"),
    "model too long": (lambda _: {"SEENIT_MODEL": "x" * 5000}, "model"),
    "captions are a pointer": (
        _model("SEENIT_CAPTION_MODEL", "model.safetensors", POINTER),
        "caption model",
    ),
    "redis away": (_away("redis://127.0.0.1:{0}/0", "SEENIT_BROKER_URL"), "queue"),
    "redis at no port": (lambda _: {"SEENIT_BROKER_URL": "redis://127.0.0.1:no/0"}, "settings"),
    "weaviate away": (_away("weaviate://127.0.0.1:{0}:{1}", "SEENIT_INDEX_URL"), "index"),
    "s3 away": (
        _away("s3://bucket", "SEENIT_BLOBS_URL", AWS_ENDPOINT="http://127.0.0.1:{0}", **BUCKET),
        "store",
    ),
    "wrong setting": (lambda _: {"SEENIT_PORT": "abc"}, "settings"),
    "unknown setting": (lambda _: {"SEENIT_PROT": "1"}, "settings"),
    **{
        f"no {module}": (_lacking(module), found)
        for module, found in {
            "celery": "packages",
            "redis": "packages",
            "obstore": "packages",
            "filelock": "packages",
            "msgspec": "packages",
            "pydantic": "settings",
            "PIL": "packages",
            "numpy": "packages",
            "litestar": "packages",
            "sqlite3": "sqlite",
        }.items()
    },
}


QUICK = (
    *("data is a file", "lock is a folder", "index is garbage", "model is a pointer"),
    *("redis away", "wrong setting", "no litestar"),
)
"""One of each kind; the others take as long each, and wait for `make test-hard`."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one in QUICK else (pytest.mark.hard,)) for one in BROKEN],
)
def test_doctor_names_what_is_wrong(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the part that is at fault with a reason, and no Python in the answer."""
    make, part = BROKEN[name]
    given = {**LIGHT, "SEENIT_DATA": str(tmp_path / "data"), **make(tmp_path)}
    if "BLOCKED" in given:
        ended = _ran(given, "doctor", "--json")
    else:
        ended = ran_here(capsys, given, "doctor", "--json")
    findings = {one["name"]: one for one in json.loads(ended.stdout)}
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    assert findings[part]["state"] == "missing"
    assert findings[part]["says"]


def test_doctor_shows_a_table_without_the_package_that_draws_it(tmp_path: Path) -> None:
    """Lines do as well."""
    ended = _doctor(_lacking("rich")(tmp_path), tmp_path / "data")
    assert ended.returncode == 1
    assert "packages: missing: no rich" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_command_whose_package_is_missing_says_so_in_a_line(tmp_path: Path) -> None:
    """Only commands that run the service need the package."""
    ended = _ran(_lacking("litestar")(tmp_path), "up", "--data", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert ended.stderr.startswith("seenit: No module named 'litestar'")
    assert len(ended.stderr.splitlines()) == 1


def test_doctor_finds_nothing_wrong_where_all_is_well(tmp_path: Path) -> None:
    """The check makes no folder."""
    ended = _doctor({}, tmp_path / "data", "--json")
    assert ended.returncode == 0, ended.stdout
    assert not (tmp_path / "data").exists()


def _doctor(given: Mapping[str, str], data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _ran({"SEENIT_DATA": str(data), **given}, "doctor", *words)


def _ran(given: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env={**outside(), **LIGHT, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
