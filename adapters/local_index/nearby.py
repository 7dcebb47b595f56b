"""What lies near a picture: the sources asked, and their answers put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.local_index import vectors as nearest
from adapters.local_index.memory import Memory
from adapters.local_index.places import Ints
from adapters.local_index.vectors import Vectors
from core.errors import MalformedError
from core.policy import Policy
from core.ports import Neighbour
from core.types import Hit, Query, Vector


def hits(
    memory: Memory,
    spaces: Mapping[str, Vectors | None],
    queries: Sequence[Query],
    policy: Policy,
) -> list[list[Hit]]:
    """Anchors near each query, in order of slots; the query's own picture is left out."""
    similar = _similar(memory, spaces, queries, policy)
    found: list[list[Hit]] = []
    for n, query in enumerate(queries):
        by_slot: dict[int, dict[str, object]] = {}
        if query.fingerprint.comparable:
            turns = np.array([int(turn, 16) for turn in query.fingerprint.turns], np.uint64)
            for near in memory.hashes.search(turns, policy.phash_radius):
                by_slot.setdefault(near.slot, {}).update(hamming=near.hamming, turn=near.turn)
        for slot, similarity in similar[n]:
            by_slot.setdefault(slot, {}).update(similarity=similarity)
        named = ((memory.ids[slot], by_slot[slot]) for slot in sorted(by_slot))
        found.append(
            [
                Hit(image_id=image_id, **measured)  # type: ignore[arg-type]  # gathered above
                for image_id, measured in named
                if image_id != query.image_id
            ]
        )
    return found


def neighbours(
    memory: Memory,
    vectors: Vectors | None,
    vector: Vector,
    *,
    limit: int,
    min_similarity: float,
    without: frozenset[str],
) -> list[Neighbour]:
    """Nearest records of a space, best first."""
    if vectors is None:
        return []
    _same_dimensions(vectors, vector)

    def keep(_: int, slots: Ints) -> NDArray[np.bool_]:
        return np.array([memory.ids[slot] not in without for slot in slots.tolist()], np.bool_)

    query = np.asarray(vector, np.float32)[None, :]
    found = vectors.search(query, limit, min_similarity, keep if without else None)[0]
    return [Neighbour(memory.ids[slot], similarity) for slot, similarity in found]


def _similar(
    memory: Memory,
    spaces: Mapping[str, Vectors | None],
    queries: Sequence[Query],
    policy: Policy,
) -> list[list[nearest.Near]]:
    """For each query the nearest anchors of its vector's space; queries of a space go together."""
    found: list[list[nearest.Near]] = [[] for _ in queries]
    asking: dict[str, list[tuple[int, Vector]]] = {}
    for n, query in enumerate(queries):
        if query.vector is None:
            continue
        if query.space_id is None:
            raise MalformedError("a vector must name its space", field="space_id")
        asking.setdefault(query.space_id, []).append((n, query.vector))
    for space_id, asked in asking.items():
        vectors = spaces[space_id]
        if vectors is None:
            continue
        for _, vector in asked:
            _same_dimensions(vectors, vector)
        ids = [queries[n].image_id for n, _ in asked]

        def keep(q: int, slots: Ints, ids: list[str] = ids) -> NDArray[np.bool_]:
            others = [memory.ids[slot] != ids[q] for slot in slots.tolist()]
            return memory.anchors[slots] & np.array(others, np.bool_)

        matrix = np.stack([np.asarray(vector, np.float32) for _, vector in asked])
        near = vectors.search(matrix, policy.visual_top, policy.visual_floor, keep)
        for (n, _), those in zip(asked, near, strict=True):
            found[n] = those
    return found


def _same_dimensions(vectors: Vectors, vector: Vector) -> None:
    if np.shape(vector) != (vectors.dimensions,):
        raise MalformedError(
            f"the space has {vectors.dimensions} dimensions, the vector {np.shape(vector)}",
            field="vector",
        )
