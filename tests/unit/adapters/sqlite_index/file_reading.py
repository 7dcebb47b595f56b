"""Statements on the file of an index, past the index."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def ask(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Look into the file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(statement, values).fetchall()
