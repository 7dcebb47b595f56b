"""Candidates within a batch, preselected by hash, vector or words, then measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.matching.inverted_index import InvertedIndex
from core.matching.policy import Policy
from core.types import Hit, Query, Remade, Vector

Measure = Callable[[Query, Query], Hit | None]
"""(query, anchor) to the hit with each source's measure, None if no source finds it."""


class BatchCandidates:
    """A pool of anchors that the index does not hold yet, searched by hash, vector and words."""

    def __init__(self, measure: Measure, policy: Policy) -> None:
        self._measure = measure
        self._policy = policy
        self._ids: set[str] = set()
        self._order: list[Query] = []
        self._hashes: NDArray[np.uint64] = np.zeros(16, np.uint64)
        self._spaces: dict[str, tuple[list[int], list[Vector]]] = {}
        self._words = InvertedIndex()
        self._found: dict[tuple[str, Remade | None], tuple[int, list[Hit]]] = {}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._ids

    def add(self, anchor: Query) -> None:
        """Add an anchor with its hash, vector and words."""
        self._ids.add(anchor.image_id)
        slot = len(self._order)
        if slot == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._order.append(anchor)
        self._hashes[slot] = int(anchor.fingerprint.phash, 16)
        if anchor.vector is not None and anchor.space_id is not None:
            slots, vectors = self._spaces.setdefault(anchor.space_id, ([], []))
            slots.append(slot)
            vectors.append(anchor.vector)
        self._words.add(slot, anchor.fingerprint.features)

    def near(self, query: Query) -> list[Hit]:
        """Return the hits among the anchors, without itself; searched once until one is added."""
        key = query.image_id, query.remade
        known = self._found.get(key)
        if known is None or known[0] != len(self._order):
            known = self._found[key] = len(self._order), self._search(query)
        return known[1]

    def _search(self, query: Query) -> list[Hit]:
        slots = self._by_hash(query) | self._by_vector(query) | self._by_words(query)
        hits = (
            self._measure(query, anchor)
            for anchor in (self._order[slot] for slot in sorted(slots))
            if anchor.image_id != query.image_id
        )
        return [hit for hit in hits if hit is not None]

    def _by_hash(self, query: Query) -> set[int]:
        turns = np.array([int(turn, 16) for turn in query.fingerprint.turns], np.uint64)
        apart = np.bitwise_count(self._hashes[: len(self._order), None] ^ turns).min(axis=1)
        return set(np.flatnonzero(apart <= self._policy.phash_radius).tolist())

    def _by_vector(self, query: Query) -> set[int]:
        slots, vectors = self._spaces.get(query.space_id or "", ((), ()))
        if query.vector is None or not slots:
            return set()
        # A hair below the floor, as another order of adding may round otherwise.
        near = np.stack(vectors) @ query.vector >= self._policy.visual_floor - 1e-4
        return {slots[n] for n in np.flatnonzero(near)}

    def _by_words(self, query: Query) -> set[int]:
        found = self._words.search(query.fingerprint.features, len(self._order))
        return {one.row for one in found}
