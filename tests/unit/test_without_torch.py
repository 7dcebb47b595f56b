"""Features without a model, which run if the packages of the models are missing."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from adapters import wiring
from adapters.settings import Settings
from core.errors import SettingsError
from tests.backends.server_process import ROOT, free_ports, outside
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo

HEAVY = ("torch", "transformers", "safetensors", "huggingface_hub", "tokenizers")
WITHOUT = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
"""Run before anything else in a Python whose path it is on: as if these were not installed."""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a Python without the packages that models need."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT)
    return {**_environment(tmp_path), "PYTHONPATH": str(folder)}


def _environment(folder: Path) -> dict[str, str]:
    (port,) = free_ports(1)
    return {
        **outside(),
        "SEENIT_DATA": str(folder / "data"),
        "SEENIT_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "SEENIT_QUERY_SECONDS": "1",
    }


def _python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_nothing_of_a_model_is_imported_by_an_api_or_a_beat(tmp_path: Path) -> None:
    """The same holds where its packages are installed; and no decoding child is started."""
    code = f"""
import json, sys
import psutil
import cli.commands.api, cli.commands.beat
from adapters import settings, wiring
from api.app import create_app
for role in ("api", "beat"):
    services = wiring.build(settings.load(), role=role)
    create_app(services)
    assert services.decoder is None
    services.close()
assert psutil.Process().children() == []
print(json.dumps(sorted({set(HEAVY)!r} & sys.modules.keys())))
"""
    assert json.loads(_python(code, _environment(tmp_path))) == []


@contextmanager
def _api(environment: dict[str, str]) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--port", str(port)],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until(lambda: _up(client, process))
            yield client, psutil.Process(process.pid)
            process.terminate()
            said, _ = process.communicate(timeout=30)
            assert process.returncode == 0, said[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _up(client: httpx.Client, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.communicate()[0][-3000:]
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_an_api_serves_without_torch_broker_and_workers(bare: dict[str, str]) -> None:
    """Uploads are accepted; a request that needs a worker gets a 503 with Retry-After."""
    picture = jpeg(photo(1))
    with _api(bare) as (client, process):
        answer = client.post("/v1/images", files={"file": ("a.jpg", picture)})
        assert answer.status_code == 202, answer.text
        assert answer.json()["items"][0]["status"] == "queued"
        assert answer.elapsed.total_seconds() < 5

        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        down = {name for name, state in ready.json()["parts"].items() if state == "down"}
        assert down == {"queue", "worker", "visual", "caption"}

        asked = client.post("/v1/check", files={"file": ("a.jpg", picture)})
        assert asked.status_code == 503, asked.text
        assert int(asked.headers["Retry-After"]) >= 1
        assert asked.json()["type"] == "/problems/queue-unavailable"
        broken = client.post("/v1/check", files={"file": ("a.jpg", b"no picture at all")})
        assert broken.status_code == 415, "a header is looked at before anybody is asked"

        found = client.post("/v1/search", json={"text": "a red bicycle"})
        assert found.status_code == 200, found.text
        assert found.json()["used"] == ["keyword"]
        named = client.post("/v1/search", json={"text": "a red bicycle", "mode": "visual"})
        assert named.status_code == 503
        assert "Retry-After" in named.headers
        assert process.children() == [], "nothing is decoded here"


def test_all_in_one_says_what_to_install(bare: dict[str, str]) -> None:
    """It runs on without models, as where no weights are to be had."""
    code = """
from adapters import settings, wiring
services = wiring.build(settings.load(broker_url="memory://"))
services.models.load()
print(services.visual.absent, services.caption.absent, sep="\\n")
services.close()
"""
    for line in _python(code, bare).splitlines():
        assert "torch and transformers" in line
        assert ".[gpu]" in line


@pytest.mark.parametrize("role", ["api", "worker", "beat"])
def test_a_role_that_cannot_work_is_refused(role: wiring.Role, tmp_path: Path) -> None:
    """A queue, or a store, inside one process serves one process."""
    with pytest.raises(SettingsError, match="SEENIT_BROKER_URL=memory"):
        wiring.build(Settings(data=tmp_path), role=role)
    with pytest.raises(SettingsError, match="SEENIT_BLOBS_URL=memory"):
        wiring.build(
            Settings(data=tmp_path, broker_url="redis://127.0.0.1:1/0", blobs_url="memory://"),
            role=role,
        )


def test_all_in_one_wants_no_shared_broker(tmp_path: Path) -> None:
    """The error names the commands that do."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "up"],
        env=_environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "seenit worker" in done.stderr


def test_what_models_run_on_is_an_extra() -> None:
    """The base install is without it, a worker's and everything for development have it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {name for name in HEAVY if name in project["dependencies"]}
    assert base == set()
    extras = project["optional-dependencies"]
    assert extras["gpu"] == ["torch", "transformers"]
    assert set(extras["gpu"]) < set(extras["dev"])
