"""Thread-safe inverted index of visual words, filled from stored features."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import islice

from adapters.sqlite_index import mapping
from adapters.sqlite_index.slot_map import Ints
from core.matching.inverted_index import FoundRow, InvertedIndex
from core.types import Features

_BATCH = 4_096
"""Pictures read at once: 26 MB of features; more is hardly faster (measured)."""


class WordTerms:
    """Visual words of the candidates by slot, read from the tables at first use."""

    def __init__(self) -> None:
        self.ready = False
        """Whether the words were read; from then on they are kept up to date."""
        self._terms = InvertedIndex()
        self._prints: dict[int, int] = {}
        """Hash of the stored features by slot: most changes of a record leave them equal."""
        self._lock = threading.Lock()

    def read(self, stored: Iterable[tuple[int, bytes]]) -> None:
        """Add all (slot, stored features)."""
        self._extend(stored)
        self.ready = True

    def change(self, stored: Iterable[tuple[int, bytes]], gone: Ints) -> None:
        """Set (slot, stored features), and remove (n,) slots `gone`."""
        with self._lock:
            for slot in gone.tolist():
                if self._prints.pop(slot, None) is not None:
                    self._terms.remove(slot)
        self._extend(stored)

    def search(self, features: Features, top: int, without: AbstractSet[int]) -> list[FoundRow]:
        """Return at most `top` slots with their votes, most votes first, none of `without`."""
        with self._lock:
            hidden = sum(slot in self._prints for slot in without)
            found = self._terms.search(features, top + hidden)
        return [each for each in found if each.row not in without][:top]

    def _extend(self, stored: Iterable[tuple[int, bytes]]) -> None:
        pairs = iter(stored)
        while batch := list(islice(pairs, _BATCH)):
            fresh = [(s, data) for s, data in batch if self._prints.get(s) != hash(data)]
            features = [mapping.read_features(data) for _, data in fresh]
            with self._lock:
                self._terms.extend([slot for slot, _ in fresh], features)
                self._prints.update((slot, hash(data)) for slot, data in fresh)
