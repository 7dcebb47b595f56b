"""Damages of the file of the embedded index, as disks, copies and people do them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from adapters.sqlite_index import schema

Damage = Callable[[Path], object]


def header(path: Path) -> None:
    """Overwrite the first bytes, which say that it is a database."""
    with path.open("r+b") as file:
        file.write(bytes(100))


def cut(path: Path) -> None:
    """Truncate it, as a copy that broke off does."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def page(path: Path, table: str = "records") -> None:
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        number = found.fetchone()[0]
    with path.open("r+b") as file:
        file.seek((number - 1) * schema.PAGE)
        file.write(b"\xff" * schema.PAGE)


def ran(*statements: str) -> Damage:
    """Return a damage done by statements."""

    def act(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    return act
