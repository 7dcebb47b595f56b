"""The demo as `make demo` runs it: it ends well, shows its page, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from demo.asking import QUERIES
from demo.photos import COPIES, PHOTOS
from tests.backends.server_process import outside


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demo in an empty folder with its temporary files in it."""
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "demo"],
        cwd=tmp_path,
        env={**outside(), "TMPDIR": str(tmp_path / "tmp"), "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


def left(folder: Path) -> list[str]:
    """Return the processes and files that a demo in this folder has not removed."""
    running = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.environ().values()) and process.pid != os.getpid():
                running.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return running + [path.name for path in (folder / "tmp").iterdir()]


def test_the_demo_ends_well_and_leaves_a_page(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """Every verdict as it must be, each copy on a page that needs nothing else."""
    said, _ = demo.communicate()
    assert demo.returncode == 0, said
    assert f"{len(PHOTOS)} photos are originals, {len(COPIES)} copies" in said
    page = (tmp_path / "out" / "demo.html").read_text(encoding="utf-8")
    assert page.count('<article class="card">') == len(COPIES) + 1 + len(QUERIES) + 1
    found = sum(1 for query in QUERIES if query.mode != "visual")
    assert page.count("<img ") > 2 * (len(COPIES) + 1) + len(PHOTOS) + found
    assert "SEENIT_MODEL=openai/clip-vit-base-patch32 make demo" in page
    assert "[img-1]" in page
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', page) == []
    assert "<rect" in page, "the caption's region is drawn"
    assert left(tmp_path) == []


@pytest.mark.hard
def test_an_interrupted_demo_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """Ctrl-C in the middle: the service is stopped and its data removed."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if "It listens on" in line:
            break
    demo.send_signal(signal.SIGINT)
    said = demo.stdout.read()
    assert demo.wait() == 130, said
    assert "interrupted" in said
    assert left(tmp_path) == []
