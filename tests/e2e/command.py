"""The `seenit` command with no settings but a test's: as a process of its own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from cli.main import run
from tests.backends.server_process import ROOT, outside

SECONDS = 600.0
"""A command that hangs ends a test all the same."""


def line(*words: str) -> list[str]:
    """Return the command line of these words, with JSON output."""
    return [sys.executable, "-m", "cli", *words, "--json"]


def ran(settings: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with JSON output, and return its exit code and output."""
    return subprocess.run(
        line(*words),
        env={**outside(), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ran_here(
    capsys: pytest.CaptureFixture[str], settings: Mapping[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, where a start of Python and torch would take longer than it.

    A traceback that a process would print is raised here.
    """
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ.keys() - outside().keys():
            environment.delenv(name)
        for name, value in settings.items():
            environment.setenv(name, value)
        code = run(list(words))
    said = capsys.readouterr()
    return subprocess.CompletedProcess(words, code, said.out, said.err)
