"""Candidate search: hits of hashes, vectors and visual words, merged by record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.sqlite_index import vector_search as nearest
from adapters.sqlite_index.slot_map import Ints
from adapters.sqlite_index.tenant_cache import TenantCache
from adapters.sqlite_index.vector_search import VectorSearch
from core.errors import MalformedError
from core.index_port import Neighbour
from core.matching.policy import Policy
from core.types import Hit, Query, Vector

FEW = 16
"""If fewer than one in so many records pass the filters, only their vectors are read."""


def hits(
    memory: TenantCache,
    spaces: Mapping[str, VectorSearch | None],
    queries: Sequence[Query],
    hidden: Sequence[frozenset[int]],
    policy: Policy,
    *,
    words: bool,
) -> list[list[Hit]]:
    """Return the candidates near each query, in order of slots, without the slots `hidden` from it.

    A flat or tiny query has none by its hash. `words` adds candidates by local features.
    """
    similar = _similar(memory, spaces, queries, hidden, policy)
    found: list[list[Hit]] = []
    for query, nears, without in zip(queries, similar, hidden, strict=True):
        by_slot: dict[int, dict[str, object]] = {}
        for slot, similarity in nears:
            by_slot.setdefault(slot, {}).update(similarity=similarity)
        if query.fingerprint.comparable:
            turns = np.array([int(turn, 16) for turn in query.fingerprint.turns], np.uint64)
            for near in memory.hashes.search(turns, policy.phash_radius):
                if near.slot not in without:
                    by_slot.setdefault(near.slot, {}).update(hamming=near.hamming, turn=near.turn)
        features = query.fingerprint.features
        if words and features.words:
            voted = memory.words.search(features, policy.feature_top, without)
            for slot, ballot in voted:
                if ballot.votes < policy.feature_votes:
                    break
                by_slot.setdefault(slot, {}).update(ballot._asdict())
        found.append(
            [
                Hit(image_id=memory.ids[slot], **by_slot[slot])  # type: ignore[arg-type]  # gathered above
                for slot in sorted(by_slot)
            ]
        )
    return found


def neighbours(
    memory: TenantCache,
    vectors: VectorSearch | None,
    vector: Vector,
    *,
    limit: int,
    min_similarity: float,
    hidden: frozenset[int],
    passes: NDArray[np.bool_] | None = None,
    alone: bool = False,
) -> list[Neighbour]:
    """Return the nearest records of a space, best first, without the slots `hidden`.

    `passes` is a (slots,) mask of the records that pass the filters themselves, None without
    filters. Originals of passing copies are included unless `alone`.
    """
    if vectors is None:
        return []
    _same_dimensions(vectors, vector)
    query = np.asarray(vector, np.float32)[None, :]
    without = np.array(sorted(hidden), np.int64)

    standing = passes
    if passes is not None and not alone:
        standing = memory.columns.standing(passes, vectors)
    if standing is not None and FEW * np.count_nonzero(standing) <= len(vectors):
        slots = np.setdiff1d(np.flatnonzero(standing), without)
        near = vectors.among(query[0], slots, limit, min_similarity)
        return [Neighbour(memory.ids[slot], similarity) for slot, similarity in near]

    def keep(_: int, slots: Ints) -> NDArray[np.bool_]:
        good = ~np.isin(slots, without)
        if standing is not None:
            inside = slots < len(standing)
            good &= inside
            good[inside] &= standing[slots[inside]]
        return good

    keeping = keep if hidden or standing is not None else None
    found = vectors.search(query, limit, min_similarity, keeping)[0]
    return [Neighbour(memory.ids[slot], similarity) for slot, similarity in found]


def _similar(
    memory: TenantCache,
    spaces: Mapping[str, VectorSearch | None],
    queries: Sequence[Query],
    hidden: Sequence[frozenset[int]],
    policy: Policy,
) -> list[list[nearest.VectorNeighbour]]:
    """Return the nearest records of each query; queries of one space share a matrix product."""
    found: list[list[nearest.VectorNeighbour]] = [[] for _ in queries]
    by_space: dict[str, list[int]] = {}
    for n, query in enumerate(queries):
        if query.vector is not None:
            if query.space_id is None:
                raise MalformedError("a vector must name its space", field="space_id")
            by_space.setdefault(query.space_id, []).append(n)
    for space_id, numbers in by_space.items():
        vectors = spaces[space_id]
        if vectors is None:
            continue
        matrix = np.stack([_same_dimensions(vectors, queries[n].vector) for n in numbers])
        without = [np.array(sorted(hidden[n]), np.int64) for n in numbers]

        def keep(q: int, slots: Ints, without: list[Ints] = without) -> NDArray[np.bool_]:
            return memory.candidates[slots] & ~np.isin(slots, without[q])

        near = vectors.search(matrix, policy.visual_top, policy.visual_floor, keep)
        for n, neighbours_of_query in zip(numbers, near, strict=True):
            found[n] = neighbours_of_query
    return found


def _same_dimensions(vectors: VectorSearch, vector: Vector | None) -> Vector:
    given = np.asarray(vector, np.float32)
    if given.shape != (vectors.dimensions,):
        raise MalformedError(
            f"the space has {vectors.dimensions} dimensions, the vector has shape {given.shape}",
            field="vector",
        )
    return given
