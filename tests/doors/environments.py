"""Environments of third parties' clients and generators, each apart from the others.

They are kept in .doors/ at the root of the repository, so that a second run downloads nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.backends.requirements import absent
from tests.backends.server_process import ROOT, outside

ROOM = ROOT / ".doors"
INSTALL_SECONDS = 300.0


def python_environment(name: str) -> Path:
    """Return the folder of programs of a virtual environment with what `<name>.txt` pins.

    Skip, or fail where SEENIT_TEST_REQUIRE names it, if pip cannot get it.
    """
    pins = Path(__file__).parent / f"{name}.txt"
    folder = _folder(name, pins.read_text() + sys.version)
    if not _is_whole(folder):
        python = str(folder / "bin" / "python")
        _install(name, [sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install(name, [*pip, "--only-binary", ":all:", "-r", str(pins)])
        _finish(folder)
    return folder / "bin"


def node_environment(name: str, package: str) -> Path:
    """Return a folder into which npm installed a package, such as `name@1.2.3`.

    Skip, or fail where SEENIT_TEST_REQUIRE names it, if there is no npm or it cannot get it.
    """
    if shutil.which("npm") is None:
        absent(name, "npm is not installed")
    folder = _folder(name, package)
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        _install(name, [*npm, "--prefix", str(folder), package])
        _finish(folder)
    return folder


def run(
    command: Sequence[str | Path],
    *,
    seconds: float = 120.0,
    cwd: Path = ROOM,
    path: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment, `path` first on its PATH, and return what it printed."""
    cwd.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [str(word) for word in command],
        env=outside() | {"PATH": f"{path}:{os.environ['PATH']}".lstrip(":"), "PWD": str(cwd)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _folder(name: str, contents: str) -> Path:
    digest = hashlib.sha256(contents.encode()).hexdigest()[:12]
    return ROOM / f"{name}-{digest}"


def _is_whole(folder: Path) -> bool:
    return (folder / ".whole").exists()


def _finish(folder: Path) -> None:
    (folder / ".whole").touch()


def _install(name: str, command: Sequence[str]) -> None:
    try:
        done = run(command, seconds=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        absent(name, f"`{' '.join(command[:3])} …` took over {INSTALL_SECONDS:.0f} s")
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        absent(name, f"`{' '.join(command[:4])} …` failed: {said[-1]}")
