"""Stemming of words with SQLite's own tokenizer (porter over unicode61).

Both indexes thereby find a record by the same words, in every script and form.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from adapters.full_text import TOKENIZE

_COLUMNS = "abcd"


def stemmed(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the stems of rows of at most four texts, joined by blanks."""
    found: list[list[list[str]]] = [[[] for _ in row] for row in texts]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"CREATE VIRTUAL TABLE texts USING fts5 (a, b, c, d, {TOKENIZE})")
        db.execute("CREATE VIRTUAL TABLE stems USING fts5vocab (texts, instance)")
        db.executemany(
            "INSERT INTO texts (rowid, a, b, c, d) VALUES (?, ?, ?, ?, ?)",
            ((n, *(*row, "", "", "", "")[:4]) for n, row in enumerate(texts)),
        )
        for row, column, term in db.execute(
            "SELECT doc, col, term FROM stems ORDER BY doc, offset"
        ):
            found[row][_COLUMNS.index(column)].append(term)
    return [[" ".join(words) for words in row] for row in found]
