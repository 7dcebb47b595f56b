"""Fixtures of the tests of the embedded index: a file, and an empty index in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sqlite_index import SQLiteIndex
from core.matching.policy import POLICY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the index."""
    return tmp_path / "index.db"


@pytest.fixture
def index(path: Path) -> Iterator[SQLiteIndex]:
    """Yield an empty index on a disk."""
    opened = SQLiteIndex(path, POLICY, durable=False)
    yield opened
    opened.close()
