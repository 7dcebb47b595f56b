"""`scripts/env` makes the secrets of compose.yaml, and changes none that is there."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from tests.backends.server_process import ROOT
from tests.e2e.composed import FILES, SECRETS, compose, config, running
from tests.samples.pictures import jpeg, photo

NAMES = sorted(SECRETS)
LIGHT = "SEENIT_MODEL=none\nSEENIT_CAPTION_MODEL=none\nSEENIT_LOG_LEVEL=warning\n"


def clone(folder: Path) -> Path:
    """Copy the files that the script needs, and return their folder."""
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/env", folder / "scripts")
    for name in (*FILES, ".env.example", "Makefile"):
        shutil.copy(ROOT / name, folder)
    return folder


def ran(folder: Path, *words: str) -> str:
    """Run from another folder without an environment; return the output, which holds no secret."""
    told = subprocess.run(
        words or [folder / "scripts/env"],
        cwd=folder if words else "/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    if (folder / ".env").exists():
        assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
        assert not re.search("[0-9a-f]{16}", told.stdout + told.stderr)
    assert sorted(path.name for path in folder.glob(".env*")) == [".env", ".env.example"]
    return told.stdout


def values(folder: Path) -> dict[str, str]:
    """Secrets as compose understands them."""
    told = compose(folder, "config", "--environment")
    assert told.returncode == 0, told.stderr
    pairs = (line.partition("=") for line in told.stdout.splitlines())
    return {name: value for name, _, value in pairs if name in NAMES}


def test_it_makes_every_secret_that_compose_wants(tmp_path: Path) -> None:
    """Each is its own and long; a second run reports that and changes nothing."""
    folder = clone(tmp_path / "clone")
    assert compose(folder, "config", "--quiet").returncode != 0
    assert "scripts/env" in compose(folder, "config", "--quiet").stderr
    said = ran(folder)
    assert all(name in said for name in NAMES)
    made = values(folder)
    assert sorted(made) == NAMES
    key, *rest = made["SEENIT_API_KEYS"].split(":")
    assert rest == ["default", "admin"]
    secrets = [key, *(made[name] for name in NAMES if name != "SEENIT_API_KEYS")]
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)
    assert len(set(secrets)) == 4
    before = (folder / ".env").read_bytes()
    kept = re.sub("(?m)^([A-Z_]+)=.*$", r"\1=", before.decode())
    assert kept == (ROOT / ".env.example").read_text()
    assert "nothing is changed" in ran(folder)
    assert (folder / ".env").read_bytes() == before
    other = clone(tmp_path / "other")
    ran(other, "make", "env")
    assert set(values(other).values()).isdisjoint(made.values())


lines = st.sampled_from(
    [
        "{}=",
        "{}= # to be filled in",
        '{}=""',
        "{}=''",
        "export {}=",
        "#{}=commented out",
        "MY_{}=another's",
        "{}=mine",
        "{}=#mine",
        "{}='mine in quotes'",
        'export {}="mine: exported"',
        "  {} = mine",
        "{}: mine",
        "{}=mine\r",
        "{}=a$$b=c#d",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that every example fills from the start."""
    return clone(tmp_path_factory.mktemp("env") / "clone")


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(NAMES), lines), max_size=7), st.booleans(), st.booleans()
)
def test_what_is_there_stays_and_what_is_missing_is_made(
    folder: Path, written: list[tuple[str, str]], ended: bool, ours: bool
) -> None:
    """The file is read as compose does: however a value is written, whatever stands beside it."""
    text = "\n".join(line.format(name) for name, line in written) + ("\n" if ended else "")
    (folder / ".env").write_bytes(text.encode())
    (folder / ".env").chmod(0o600 if ours else 0o644)
    before = environment(folder)
    for name in NAMES:  # a remark for people, of which compose would make a password
        if before.get(name) == "# to be filled in":
            del before[name]
    ran(folder)
    after = environment(folder)
    for name in NAMES:
        assert after[name]
        assert after[name] == before.get(name) or not before.get(name)
    assert {n: v for n, v in after.items() if n not in NAMES} == {
        n: v for n, v in before.items() if n not in NAMES
    }
    whole = (folder / ".env").read_bytes()
    ran(folder)
    assert (folder / ".env").read_bytes() == whole


def environment(folder: Path) -> dict[str, str]:
    """Return every variable of .env as compose reads it, through a file that requires none."""
    probe = folder / "probe.yaml"
    probe.write_text("services:\n  one:\n    image: none\n    env_file: [.env]\n")
    told = compose(folder, "-f", "probe.yaml", "config", "--format", "json")
    probe.unlink()
    assert told.returncode == 0, told.stderr
    found: dict[str, str] = json.loads(told.stdout)["services"]["one"].get("environment", {})
    return {name: value.replace("$$", "$") for name, value in found.items()}


def test_a_link_and_another_owners_line_endings_stay(tmp_path: Path) -> None:
    """The link's target is filled in; what is no file is refused and left alone."""
    folder = clone(tmp_path / "clone")
    target = tmp_path / "kept elsewhere"
    target.write_text("REDIS_PASSWORD=mine\n")
    (folder / ".env").symlink_to(target)
    assert "kept: REDIS_PASSWORD" in ran(folder)
    assert (folder / ".env").is_symlink()
    assert target.read_text().startswith("REDIS_PASSWORD=mine\n")
    target.unlink()
    target.mkdir()
    told = subprocess.run(
        [folder / "scripts/env"], capture_output=True, text=True, check=False, timeout=30
    )
    assert told.returncode == 1
    assert ".env is not a file" in told.stderr


@pytest.mark.hard
def test_a_newcomers_first_up_settles_an_upload(tmp_path: Path) -> None:
    """`scripts/env && docker compose up`: every service of a plain `up`, with the key it made."""
    folder = clone(tmp_path / "clone")
    ran(folder)
    with (folder / ".env").open("a") as file:
        file.write(LIGHT)
    key = values(folder)["SEENIT_API_KEYS"].partition(":")[0]
    with running(config(folder), tmp_path / "run") as processes:
        url = f"http://127.0.0.1:{processes['api'].port}"
        files = {"file": ("a.jpg", jpeg(photo(1)))}
        with httpx.Client(base_url=url, timeout=90) as client:
            assert client.post("/v1/images", files=files).status_code == 401
            client.headers["Authorization"] = f"Bearer {key}"
            told = client.post("/v1/images?wait=60", files=files)
        assert told.status_code == 200, told.text
        assert told.json()["items"][0]["verdict"]["kind"] == "new"
