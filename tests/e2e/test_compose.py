"""The compose files are valid, and every command and setting in them works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import click
import httpx
import pytest
from PIL.Image import Image

from cli.main import seenit
from tests.backends.server_process import ROOT
from tests.e2e import composed
from tests.e2e.composed import FILES, SECRETS, Process, compose, config, project, running
from tests.samples.pictures import jpeg, photo

LIGHT = {"SEENIT_MODEL": "none", "SEENIT_CAPTION_MODEL": "none", "SEENIT_LOG_LEVEL": "warning"}


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_nothing_starts_without_its_secrets(tmp_path: Path, missing: str) -> None:
    """Each is named where it is missing, and .env.example leaves it empty."""
    folder = project(tmp_path / "project", **{missing: ""})
    told = compose(folder, "config", "--quiet")
    assert told.returncode != 0
    assert missing in told.stderr
    assert f"\n{missing}=\n" in (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("profiles", [(), ("gpu",)])
@pytest.mark.parametrize("files", [FILES[:1], FILES])
def test_the_files_are_valid_and_complete(
    tmp_path: Path, files: tuple[str, ...], profiles: tuple[str, ...]
) -> None:
    """Health, restarts and volumes of all; commands that exist; no secret written down.

    Each image of ours is built by one service alone: two builds at once of one name collide.
    """
    services = config(project(tmp_path / "project"), files, *profiles)
    workers = {"worker-cpu", *(f"worker-{profile}" for profile in profiles)}
    assert {name for name in services if not name.startswith("weaviate-")} == {
        *("api", "beat", "redis", "weaviate"),
        *workers,
    }
    for name, told in services.items():
        assert told["restart"] == "unless-stopped", name
        assert told["healthcheck"]["test"], name
        assert {one["type"] for one in told["volumes"]} == {"volume"}, name
        assert composed._seconds(told["stop_grace_period"]) >= 30, name
        if told["command"][0] == "seenit":
            assert told["command"][1] in seenit.list_commands(click.Context(seenit)), name
    built = [told["image"] for told in services.values() if "build" in told]
    assert sorted(built) == sorted(
        {t["image"] for t in services.values() if ":local" in t["image"]}
    )
    for worker in workers:
        gpus = services[worker].get("deploy", {}).get("resources", {}).get("reservations", {})
        assert ("devices" in gpus) == (worker == "worker-gpu")
    for file in files:
        text = (ROOT / file).read_text()
        used = re.findall(r"\$\{(\w*(?:PASSWORD|KEY|KEYS|SECRET))(\W\W?)", text)
        assert all(how == ":?" for _, how in used), used
        assert not any(value in text for value in SECRETS.values())


@pytest.mark.parametrize("files", [FILES[:1], FILES])
def test_no_service_can_do_more_than_it_needs(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Read-only but for volumes, without capabilities; only the API is published."""
    folder = project(tmp_path / "project")
    services = config(folder, files, "gpu")
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"] == ["/tmp"], name
        assert not {"privileged", "cap_add", "network_mode", "devices"} & set(service), name
        assert ("ports" in service) == (name == "api"), name
        ours = service["command"][0] == "seenit"
        assert set(service["networks"]) == ({"inside", "outside"} if ours else {"inside"}), name
    named = [word for file in files for word in ("-f", file)]
    networks = json.loads(compose(folder, *named, "config", "--format", "json").stdout)["networks"]
    assert {name: one.get("internal", False) for name, one in networks.items()} == {
        "inside": True,
        "outside": False,
    }
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    users = {stage.splitlines()[0].split()[-1]: "\nUSER seenit\n" in stage for stage in stages}
    assert users == {"source": False, "base": False, "api": True, "worker": True}


@pytest.mark.parametrize("files", [FILES[:1], FILES])
def test_env_says_which_workers_there_are(tmp_path: Path, files: tuple[str, ...]) -> None:
    """One on the CPU by a plain `up`; the GPU's alone, or both, by two lines of .env."""
    usual = len(files)  # of each, two on a platform

    def counted(name: str, **settings: str) -> dict[str, int]:
        services = config(project(tmp_path / name, **settings), files)
        return {
            name: len(composed.places(name, told))
            for name, told in services.items()
            if name.startswith("worker")
        }

    assert counted("plain") == {"worker-cpu": usual}
    both = counted("both", COMPOSE_PROFILES="gpu")
    assert both == {"worker-cpu": usual, "worker-gpu": usual}
    alone = counted("alone", COMPOSE_PROFILES="gpu", CPU_WORKERS="0")
    assert alone == {"worker-cpu": 0, "worker-gpu": usual}
    assert counted("more", CPU_WORKERS="3") == {"worker-cpu": 3}


def test_a_platform_has_three_of_each_shard_and_two_of_each_process(tmp_path: Path) -> None:
    """Three nodes that know each other, two APIs on two ports, two workers."""
    services = config(project(tmp_path / "project"), FILES)
    nodes = sorted(name for name in services if name.startswith("weaviate"))
    assert len(nodes) == 3
    for name in nodes:
        told = services[name]["environment"]
        assert told["CLUSTER_HOSTNAME"] == name
        assert told["RAFT_BOOTSTRAP_EXPECT"] == "3"
        assert sorted(one.split(":")[0] for one in told["RAFT_JOIN"].split(",")) == nodes
        others = [one.split(":")[0] for one in told["CLUSTER_JOIN"].split(",")]
        assert sorted([name, *others]) == nodes
    assert len({services[name]["volumes"][0]["source"] for name in nodes}) == 3
    for name in ("api", "worker-cpu", "beat"):
        told = services[name]["environment"]
        assert told["SEENIT_INDEX_REPLICATION"] == "3"
        hosts = told["SEENIT_INDEX_URL"].removeprefix("weaviate://").split(",")
        assert sorted(one.split(":")[0] for one in hosts) == nodes
    assert [len(composed.places(name, services[name])) for name in ("api", "worker-cpu")] == [2, 2]
    assert services["api"]["ports"][0]["published"] == "8000-8001"


def test_prometheus_asks_services_that_there_are_where_they_answer(tmp_path: Path) -> None:
    """The names and ports of deploy/prometheus.yml are those of the services."""
    services = config(project(tmp_path / "project"))
    services |= config(project(tmp_path / "other"), FILES[:1], "gpu")
    told = (ROOT / "deploy/prometheus.yml").read_text()
    asked = re.findall(r"- names: \[(.+)\]\n\s+type: A\n\s+port: (\d+)", told)
    assert sum(len(names.split(",")) for names, _ in asked) == 4
    for names, port in asked:
        for name in names.split(", "):
            assert port in composed._ports(services[name]), name


def test_the_images_hold_what_the_wheel_needs_and_nothing_else(tmp_path: Path) -> None:
    """Built from what the Dockerfile copies and .dockerignore lets through, as the image is."""
    text = (ROOT / "Dockerfile").read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
        for name in line.split()
    ]
    tracked = sorted(
        str(path.relative_to(ROOT))
        for name in copied
        for path in (ROOT / name, *(ROOT / name).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    )
    let = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for name in tracked:
        assert any(fnmatch(name, one) or name.startswith(f"{one}/") for one in let), name
        place = tmp_path / "source" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ROOT / name).read_bytes())
    installed = re.findall(r"pip install ([^&\\\n]+)", text)
    assert len(installed) == 6
    for command in installed:  # lists by their hashes; torch by its version; the wheel made here
        hashed = "--only-binary :all: --require-hashes --no-deps -r" in command
        assert hashed == command.strip().endswith(".txt"), command
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*words, "--wheel-dir", tmp_path / "wheels", tmp_path / "source"], check=True, timeout=90
    )
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    expected = packages["targets"]["wheel"]["packages"]
    assert held == {name for name in tracked if name.split("/")[0] in expected}


def test_every_service_runs_as_it_is_written(tmp_path: Path) -> None:
    """Each with its own command and environment: an upload gets its verdict, a stop is obeyed."""
    services = config(project(tmp_path / "project", **LIGHT))
    with running(services, tmp_path / "run") as processes:
        _works([processes["api"]], photo(1))
        for name in ("api", "worker-cpu", "beat"):
            process = processes[name]
            process.stop()
            assert process.code == 0, process.log()


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_platform_loses_one_of_each_and_goes_on(tmp_path: Path) -> None:
    """A node, an API and a worker are killed: the others accept and settle."""
    services = config(project(tmp_path / "project", **LIGHT), FILES)
    with running(services, tmp_path / "run") as processes:
        _works([processes["api"], processes["api.2"]], photo(1))
        for name in ("weaviate", "api", "worker-cpu"):
            processes[name].kill()
        _works([processes["api.2"]], photo(2))


def _works(apis: list[Process], picture: Image) -> None:
    """Check that a new picture is new to the first API, and a smaller copy a copy to the last."""
    first, last = (
        httpx.Client(
            base_url=f"http://127.0.0.1:{one.port}",
            headers={"Authorization": "Bearer key-of-the-client"},
            timeout=90,
        )
        for one in (apis[0], apis[-1])
    )
    with first, last:
        kinds = []
        for client, data in ((first, jpeg(picture, 90)), (last, jpeg(picture.reduce(2), 80))):
            told = client.post("/v1/images?wait=60", files={"file": ("a.jpg", data)})
            assert told.status_code == 200, told.text
            (item,) = told.json()["items"]
            kinds.append(item["verdict"]["kind"])
        assert kinds == ["new", "near_duplicate"]
        checked = last.post("/v1/check", files={"file": ("a.jpg", jpeg(picture, 50))})
        assert checked.json()["verdict"]["kind"] == "near_duplicate"
