"""Fixtures of the searching tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.small_service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service with both models."""
    made = Service(tmp_path)
    made.visual.absent = made.caption.absent = None
    yield made
    made.close()
