"""Keyword search: any of a question's words, ranked by BM25 in the tenant's full-text table."""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Sequence

import numpy as np

from adapters.local_index import migrations
from adapters.local_index.places import Ints
from core.ports import Neighbour

WORDS = 64
"""Distinct words of a question that are asked for, the first ones: each costs a look-up."""
LETTERS = 64
"""Of a word; nobody stores a longer one to be found by it."""
WEIGHTS = (2.0, 1.0, 0.5, 0.5)
"""Of title, description, tags and category.

A title's few words name what is to be seen, a description also mentions what is beside it, and a
tag or category is shared by many pictures and seldom tells one from another.
"""
_STOP = """
a about after all also am an and any are as at be because been before being between both but by can
could did do does doing during each few for from further had has have having he her here hers him
his how i if in into is it its just me more most my no nor not of off on once only or other our out
over own same she should so some such than that the their them then there these they this those
through to too under until up very was we were what when where which while who whom why will with
would you your
"""
STOP = frozenset(_STOP.split())
"""English words that say nothing of a picture; asked for only where a question has no other."""

_WORD = re.compile(r"[^\W_]+")
_BATCH = 1_000


def match(text: str) -> str | None:
    """The question as FTS5 takes it, None where it has no words.

    Only letters and digits get there, each word as a quoted string: nothing a user writes is an
    operator.
    """
    words: dict[str, None] = {}
    spare: dict[str, None] = {}
    for found in _WORD.finditer(unicodedata.normalize("NFC", text)):
        word = found.group()[:LETTERS].casefold()
        (spare if word in STOP else words)[word] = None
        if len(words) == WORDS:
            break
    chosen = list(words or spare)[:WORDS]
    return " OR ".join(f'"{word}"' for word in chosen) or None


def search(
    db: sqlite3.Connection,
    number: int,
    text: str,
    *,
    limit: int,
    without: Sequence[str],
    among: Ints | None,
) -> list[Neighbour]:
    """The most relevant records, equal ones in the order they came to be.

    `among` are (n,) rows in order that may be found, None: all. Rows of a tenant are in the order
    of its slots: a new record gets a row after all others.
    """
    question = match(text)
    if question is None or limit <= 0:
        return []
    table = migrations.words(number)
    weights = ", ".join(map(str, WEIGHTS))
    statement = (
        f"SELECT rowid, -bm25({table}, {weights}) AS relevance FROM {table} "  # noqa: S608  # constants
        f"WHERE {table} MATCH ? ORDER BY relevance DESC, rowid"
    )
    hidden = set(without)
    found: list[Neighbour] = []
    if among is None:
        cursor = db.execute(f"{statement} LIMIT ?", (question, limit + len(hidden)))
    else:
        cursor = db.execute(statement, (question,))
    while len(found) < limit and (part := cursor.fetchmany(_BATCH)):
        if among is not None:
            part = _within(part, among)
        names = _names(db, [row for row, _ in part])
        found += [
            Neighbour(names[row], max(0.0, relevance))
            for row, relevance in part
            if row in names and names[row] not in hidden
        ]
    return found[:limit]


def _within(part: list[tuple[int, float]], among: Ints) -> list[tuple[int, float]]:
    rows = np.array([row for row, _ in part], np.int64)
    places = np.searchsorted(among, rows)
    inside = places < len(among)
    inside[inside] = among[places[inside]] == rows[inside]
    return [one for one, good in zip(part, inside, strict=True) if good]


def _names(db: sqlite3.Connection, rows: Sequence[int]) -> dict[int, str]:
    found = db.execute(
        "SELECT row, image_id FROM records WHERE row IN (SELECT value FROM json_each(?))",
        (json.dumps(list(rows)),),
    )
    return dict(found.fetchall())
