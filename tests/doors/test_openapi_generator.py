"""The document as openapi-generator reads it, which makes clients in many languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.backends.requirements import absent
from tests.doors.environments import node_environment, run

pytestmark = [pytest.mark.doors, pytest.mark.timeout(900)]

NAME = "openapi-generator"
PACKAGE = "@openapitools/openapi-generator-cli@2.41.0"
GENERATOR = "7.23.0"
"""Version of the program that the package downloads at its first run."""


def test_openapi_generator_finds_no_errors(document: Path) -> None:
    """`validate` reads the whole document."""
    if shutil.which("java") is None:
        absent(NAME, "java is not installed")
    folder = node_environment(NAME, PACKAGE)
    pinned = {"generator-cli": {"version": GENERATOR}}
    (folder / "openapitools.json").write_text(json.dumps(pinned))
    program = folder / "node_modules" / ".bin" / "openapi-generator-cli"
    version = run([program, "version"], seconds=300.0, cwd=folder)
    if GENERATOR not in version.stdout.split():
        absent(NAME, f"version {GENERATOR} cannot be had: {version.stdout.strip()[-200:]}")
    checked = run([program, "validate", "-i", document], cwd=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "No validation issues detected." in checked.stdout
