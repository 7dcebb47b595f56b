"""Keyword search for any word of a query, ranked by BM25 in the tenant's full-text table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adapters.full_text import WEIGHTS, question_words
from adapters.sqlite_index import schema
from adapters.sqlite_index.slot_map import Ints
from core.index_port import Neighbour

ENOUGH = 2_000
"""Records with one of the rarer words from which no others are ranked.

Among 100,000 synthetic records, 37,000 (median) had one of a query's seven words; matching them
took 3 ms of CPU, ranking them 39 ms. With this limit the first hundred results of each of 40
queries were the same, in a fifth of the time; with 500 the first ten still were.
"""


def search(
    db: sqlite3.Connection,
    number: int,
    text: str,
    *,
    limit: int,
    without: Sequence[str],
    among: Ints | None,
) -> list[Neighbour]:
    """Return the most relevant records, equal ones in order of projection.

    `among` limits the search to (n,) sorted rows unless None. The rows of a tenant are in the order
    of its slots: a new record gets a row after all others.

    Ranking is slower than matching: if the query's rarer words are in `ENOUGH` records, only those
    are ranked, by all of its words; if they do not fill the limit, every match is.
    """
    terms = [f'"{word}"' for word in question_words(text)]
    if not terms or limit <= 0:
        return []
    table = _FullTextTable(db, schema.words(number))
    rare, common = table.parted(terms)
    hidden = set(without)
    most = limit + len(hidden)
    found = _best(table.weighed(rare, common, most if among is None else None), among, most)
    if common and len(found) < most:
        every = table.weighed(terms, [], most if among is None else None)
        found = _best(every, among, most)
    named = db.execute(
        "SELECT row, image_id FROM records WHERE row IN (SELECT value FROM json_each(?))",
        (json.dumps([row for row, _ in found]),),
    )
    names = dict(named.fetchall())
    return [
        Neighbour(names[row], max(0.0, relevance))
        for row, relevance in found
        if row in names and names[row] not in hidden
    ][:limit]


class _FullTextTable(NamedTuple):
    """Full-text table of one tenant."""

    db: sqlite3.Connection
    name: str

    def parted(self, terms: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the rarest words, up to `ENOUGH` records together, and the other words."""
        statement = (
            f"SELECT count(*) FROM (SELECT 1 FROM {self.name} "  # noqa: S608  # a number
            f"WHERE {self.name} MATCH ? LIMIT {10 * ENOUGH})"
        )
        found = (self.db.execute(statement, (word,)).fetchone()[0] for word in terms)
        counted = sorted((count, n) for n, count in enumerate(found))
        rare: list[str] = []
        covered = 0
        for count, n in counted:
            if covered >= ENOUGH:
                break
            rare.append(terms[n])
            covered += count
        return rare, [word for word in terms if word not in rare]

    def weighed(
        self, rare: Sequence[str], common: Sequence[str], limit: int | None
    ) -> dict[int, float]:
        """Return relevance by row of the records with a rare word: the best `limit`, or all.

        Common words add to the relevance, so records that have some are queried with them: their
        relevance with common words replaces the lower one without.
        """
        either = " OR ".join(rare)
        found = self._rows(either, limit)
        if common:
            found |= self._rows(f"({either}) AND ({' OR '.join(common)})", limit)
        return found

    def _rows(self, question: str, limit: int | None) -> dict[int, float]:
        weights = ", ".join(map(str, WEIGHTS))
        statement = (
            f"SELECT rowid, -bm25({self.name}, {weights}) AS relevance FROM {self.name} "  # noqa: S608  # a number
            f"WHERE {self.name} MATCH ?"
        )
        if limit is None:
            return dict(self.db.execute(statement, (question,)).fetchall())
        ordered = f"{statement} ORDER BY relevance DESC, rowid LIMIT ?"
        return dict(self.db.execute(ordered, (question, limit)).fetchall())


def _best(found: dict[int, float], among: Ints | None, limit: int) -> list[tuple[int, float]]:
    """Return (row, relevance) of the most relevant rows in `among`, the lower row first."""
    rows = np.fromiter(found, np.int64, len(found))
    relevances = np.fromiter(found.values(), np.float64, len(found))
    if among is not None:
        inside = np.isin(rows, among)
        rows, relevances = rows[inside], relevances[inside]
    order = np.lexsort((rows, -relevances))[:limit]
    return [(int(rows[n]), float(relevances[n])) for n in order]
