"""In-memory cache of a tenant, updated from the tables by seq."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from adapters.sqlite_index.filter_masks import COLUMNS, LATE, FilterColumns
from adapters.sqlite_index.hash_search import HashSearch
from adapters.sqlite_index.slot_map import Ints
from adapters.sqlite_index.vector_search import VectorSearch
from adapters.sqlite_index.visual_words import WordTerms

_BATCH = 4_096
"""Rows read at once: 8 MB of 512-dimensional vectors."""


class TenantCache:
    """Ids and candidates of one tenant, and the vectors of the spaces used by queries.

    `prepare` takes the lock only if the cache is out of date; searches run without it, on the state
    at their start.
    """

    def __init__(self, generation: str, number: int) -> None:
        self.generation = generation
        """Generation of the file that was read; a cache of another one is useless."""
        self.hashes = HashSearch()
        self.words = WordTerms()
        self.columns = FilterColumns()
        self.ids: list[str] = []
        """Image ids by slot, "" for a record that was deleted before it was read."""
        self.candidates: NDArray[np.bool_] = np.zeros(256, np.bool_)
        """Mask of candidates by slot; replaced by a longer one when full."""
        self._number = number
        self._seen = -1
        self._vectors: dict[str, VectorSearch] = {}
        self._lock = threading.Lock()

    def prepare(
        self,
        db: sqlite3.Connection,
        watermark: int,
        spaces: Iterable[str],
        *,
        words: bool = False,
        columns: bool = False,
    ) -> dict[str, VectorSearch | None] | None:
        """Update the cache to `db`'s transaction, at which W is `watermark`.

        Return the vectors of the spaces, None for a space without any. A space, the words and the
        columns are read whole at first use, as of the same W. Return None if another thread has
        already updated the cache past W: the caller retries in a new transaction.
        """
        wanted = set(spaces)
        if self._seen < watermark or self._unread(wanted, words=words, columns=columns):
            with self._lock:
                if self._seen < watermark:
                    self._bring_up(db, watermark)
                unread = self._unread(wanted, words=words, columns=columns)
                if unread and self._seen > watermark:
                    return None
                for read in unread:
                    read(db)
        return {space_id: self._vectors.get(space_id) for space_id in wanted}

    def _unread(
        self, spaces: AbstractSet[str], *, words: bool, columns: bool
    ) -> list[Callable[[sqlite3.Connection], None]]:
        """Return a function for each wanted part that was not read yet, which reads it."""
        unread: list[Callable[[sqlite3.Connection], None]] = [
            partial(self._read_space, space_id=space_id)
            for space_id in spaces
            if space_id not in self._vectors
        ]
        if words and not self.words.ready:
            unread.append(self._read_words)
        if columns and not self.columns.ready:
            unread.append(self._read_columns)
        return unread

    def _read_words(self, db: sqlite3.Connection) -> None:
        self.words.read(self._features(db, -1))

    def _read_columns(self, db: sqlite3.Connection) -> None:
        everything = db.execute(COLUMNS.format("", ""), (self._number,))
        self.columns.extend(everything, len(self.ids))
        self.columns.ready = True

    def _bring_up(self, db: sqlite3.Connection, watermark: int) -> None:
        gone = _column(
            db.execute(
                "SELECT slot FROM tombstones WHERE tenant = ? AND seq > ? AND slot IS NOT NULL",
                (self._number, self._seen),
            )
        )
        changed, banked = (
            db.execute(
                "SELECT slot, image_id, phash FROM records INDEXED BY record_by_seq "
                "WHERE tenant = ? AND seq > ?",
                (number, self._seen),
            ).fetchall()
            for number in (self._number, -self._number)
        )
        changed += banked
        slots = _column(changed)
        fresh = [image_id for slot, image_id, _ in changed if slot >= len(self.ids)]
        self._grow(int(max(slots.max(initial=-1), gone.max(initial=-1))) + 1)
        for slot, image_id, _ in changed:
            self.ids[slot] = image_id
        candidates = _column(item for item in changed if item[2] is not None)
        others = np.concatenate([gone, np.setdiff1d(slots, candidates)])
        self._change_hashes([(slot, phash) for slot, _, phash in changed], slots, gone)
        if self.words.ready:
            self.words.change(self._features(db, self._seen), others)
        if self.columns.ready:
            self._change_columns(db, fresh, np.concatenate([gone, _column(banked)]))
        for space_id, vectors in self._vectors.items():
            self._change(db, space_id, vectors, slots, gone)
        self.candidates[candidates] = True
        self.candidates[others] = False
        self._seen = watermark

    def _change_hashes(
        self, changed: Sequence[tuple[int, object]], slots: Ints, gone: Ints
    ) -> None:
        """Keep the hashes of candidates whose hash counts."""
        hashed = [(slot, phash) for slot, phash in changed if isinstance(phash, int)]
        own = _column(hashed)
        self.hashes.extend(own, np.array([phash for _, phash in hashed], np.int64).view(np.uint64))
        self.hashes.remove(np.concatenate([gone, np.setdiff1d(slots, own)]))

    def _change_columns(self, db: sqlite3.Connection, fresh: list[str], gone: Ints) -> None:
        """Read the columns of changed records, and of copies that waited for a new original."""
        changes = COLUMNS.format("INDEXED BY record_by_seq", "AND r.seq > ?")
        self.columns.extend(db.execute(changes, (self._number, self._seen)), len(self.ids))
        copies = COLUMNS.format("INDEXED BY record_by_original_id", LATE)
        waiting = db.execute(copies, (self._number, json.dumps(fresh)))
        self.columns.extend(waiting, len(self.ids))
        self.columns.remove(gone)

    def _grow(self, reached: int) -> None:
        """Make room for slots; arrays are replaced, as running searches hold those before."""
        self.ids.extend([""] * (reached - len(self.ids)))
        have = len(self.candidates)
        if reached > have:
            grown = np.zeros(max(reached, 2 * have), np.bool_)
            grown[:have] = self.candidates
            self.candidates = grown

    def _features(self, db: sqlite3.Connection, since: int) -> sqlite3.Cursor:
        """Select (slot, stored features) of the candidates that changed since an entry."""
        return db.execute(
            "SELECT r.slot, f.data FROM records r INDEXED BY record_by_seq "
            "JOIN features f ON f.row = r.row "
            "WHERE r.tenant IN (?, ?) AND r.seq > ? AND r.phash IS NOT NULL",
            (self._number, -self._number, since),
        )

    def _change(
        self, db: sqlite3.Connection, space_id: str, vectors: VectorSearch, slots: Ints, gone: Ints
    ) -> None:
        """Update a space: read the vectors of (n,) changed `slots`, remove those without one."""
        found: list[tuple[int, bytes]] = []
        for slot in slots.tolist():
            found += db.execute(
                "SELECT slot, data FROM vectors WHERE tenant = ? AND space_id = ? AND slot = ?",
                (self._number, space_id, slot),
            )
        have = _column(found)
        vectors.remove(np.concatenate([gone, np.setdiff1d(slots, have)]))
        if found:
            vectors.extend(have, _matrix(found))

    def _read_space(self, db: sqlite3.Connection, space_id: str) -> None:
        cursor = db.execute(
            "SELECT slot, data FROM vectors WHERE tenant = ? AND space_id = ? ORDER BY slot",
            (self._number, space_id),
        )
        vectors = None
        while batch := list(islice(cursor, _BATCH)):
            matrix = _matrix(batch)
            vectors = vectors or VectorSearch(matrix.shape[1])
            vectors.extend(_column(batch), matrix)
        if vectors is not None:
            self._vectors[space_id] = vectors


def _column(found: Iterable[Sequence[object]]) -> Ints:
    """Return the (n,) first values of the rows."""
    return np.array([row[0] for row in found], np.int64)


def _matrix(found: Sequence[tuple[int, bytes]]) -> NDArray[np.float32]:
    """Return the stored vectors of (slot, data) as (n, d) float32."""
    joined = np.frombuffer(b"".join(data for _, data in found), "<f4")
    return joined.reshape(len(found), -1).astype(np.float32, copy=False)
