"""The `seenit` command as a user runs it: a process of its own that has its settings alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

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
