"""The inverted table of local-feature words, fed from stored features, safe for threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import islice

from adapters.sqlite_index import mapping
from adapters.sqlite_index.slot_map import Ints
from core.matching.inverted_index import InvertedIndex
from core.types import Features

_BATCH = 4_096
"""Pictures read in one go: 26 MB of features; more at once is hardly faster (measured)."""


class WordTerms:
    """The terms of the candidates by slot; read from the tables only once somebody asks."""

    def __init__(self) -> None:
        self.ready = False
        """Whether they were read; from then on they are kept up."""
        self._terms = InvertedIndex()
        self._prints: dict[int, int] = {}
        """By slot, what tells its stored features from others: most changes do not change them."""
        self._lock = threading.Lock()

    def read(self, stored: Iterable[tuple[int, bytes]]) -> None:
        """Hold all of (slot, stored features)."""
        self._extend(stored)
        self.ready = True

    def change(self, stored: Iterable[tuple[int, bytes]], gone: Ints) -> None:
        """Hold these, and let go of (n,) slots."""
        with self._lock:
            for slot in gone.tolist():
                if self._prints.pop(slot, None) is not None:
                    self._terms.remove(slot)
        self._extend(stored)

    def search(
        self, features: Features, top: int, without: AbstractSet[int]
    ) -> list[tuple[int, int, bool]]:
        """At most `top` of (slot, votes, mirrored), most votes first, no slot of `without`."""
        with self._lock:
            hidden = sum(slot in self._prints for slot in without)
            found = self._terms.search(features, top + hidden)
        return [each for each in found if each[0] not in without][:top]

    def _extend(self, stored: Iterable[tuple[int, bytes]]) -> None:
        pairs = iter(stored)
        while batch := list(islice(pairs, _BATCH)):
            fresh = [(s, data) for s, data in batch if self._prints.get(s) != hash(data)]
            features = [mapping.read_features(data) for _, data in fresh]
            with self._lock:
                self._terms.extend([slot for slot, _ in fresh], features)
                self._prints.update((slot, hash(data)) for slot, data in fresh)
