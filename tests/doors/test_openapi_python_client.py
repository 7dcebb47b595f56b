"""The Python client that openapi-python-client makes of the document, against a real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doors.conftest import KEY
from tests.doors.environments import python_environment, run
from tests.e2e.service import Service
from tests.samples.pictures import jpeg, photo

pytestmark = [pytest.mark.doors, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parent / "python_client.py"


def test_the_generated_client_does_the_main_ways(
    running: Service, document: Path, tmp_path: Path
) -> None:
    """It is made without a warning, uploads, waits, searches, builds a context, reads bytes."""
    programs = python_environment("openapi-python-client")
    made = run(
        [
            programs / "openapi-python-client",
            *("generate", "--meta", "none", "--fail-on-warning"),
            *("--path", document, "--output-path", tmp_path / "seenit_client"),
        ],
        path=str(programs),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    picture = tmp_path / "dog.jpg"
    picture.write_bytes(jpeg(photo(7)))
    used = run([programs / "python", SCRIPT, running.url, KEY, picture], cwd=tmp_path)
    assert used.returncode == 0, used.stdout + used.stderr
    assert used.stdout.split() == ["imported", "uploaded", "settled", "found", "told", "read"]
