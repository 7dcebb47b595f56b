"""Exact search over unit vectors in memory."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from adapters.sqlite_index.vector_search import VectorNeighbour, VectorSearch

RNG = np.random.default_rng(5)


def units(count: int, dimensions: int = 16) -> NDArray[np.float32]:
    """Return random unit vectors as rows."""
    drawn = RNG.standard_normal((count, dimensions)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def brute(
    held: dict[int, NDArray[np.float32]], query: NDArray[np.float32], top: int, floor: float
) -> list[VectorNeighbour]:
    """Return the neighbours by measuring every vector: sorted, and cut to the limit."""
    found = [VectorNeighbour(slot, float(np.dot(query, vector))) for slot, vector in held.items()]
    above = [near for near in found if near.similarity >= floor]
    return sorted(above, key=lambda near: (-near.similarity, near.slot))[:top]


def test_search_equals_brute_force_through_growth_and_removal() -> None:
    """The answers agree while blocks fill and vectors are replaced and removed, until a rebuild."""
    vectors, held = VectorSearch(16, block=300), {}
    for step in range(12):
        slots = RNG.permutation(1500)[:400]
        matrix = units(400)
        vectors.extend(slots, matrix)
        held.update(zip(slots.tolist(), matrix, strict=True))
        gone = RNG.permutation(1500)[: 300 + 50 * step]
        vectors.remove(gone)
        for slot in gone.tolist():
            held.pop(slot, None)
        queries = units(5)
        for top, floor in ((1, -1.0), (20, 0.3), (2000, -1.0)):
            expected = [brute(held, query, top, floor) for query in queries]
            assert vectors.search(queries, top, floor) == expected
        assert len(vectors) == len(held)


def test_an_answer_depends_on_neither_batch_nor_block() -> None:
    """To the last bit: one query alone, among others, in small blocks and in large ones."""
    matrix, queries = units(2000), units(9)
    small, large = VectorSearch(16, block=256), VectorSearch(16)
    small.extend(np.arange(2000), matrix)
    large.extend(np.arange(2000), matrix)
    batch = small.search(queries, 20, 0.0)
    assert batch == large.search(queries, 20, 0.0)
    assert batch == [large.search(query[None, :], 20, 0.0)[0] for query in queries]


def test_equal_vectors_come_in_order_of_slots() -> None:
    """The order holds if more vectors are equal than the limit allows."""
    vectors = VectorSearch(16, block=256)
    one = units(1)
    vectors.extend(np.arange(5000), np.repeat(one, 5000, axis=0))
    assert [near.slot for near in vectors.search(one, 7, 0.5)[0]] == list(range(7))


def test_only_what_may_be_found_counts() -> None:
    """The top is full although the nearest thousand are ruled out."""
    vectors = VectorSearch(16, block=4096)
    matrix, query = units(4000), units(1)
    vectors.extend(np.arange(4000), matrix)
    every = vectors.search(query, 4000, -1.0)[0]
    hidden = np.array([near.slot for near in every[:1000]])
    kept = vectors.search(query, 10, -1.0, lambda _, slots: ~np.isin(slots, hidden))[0]
    assert kept == every[1000:1010]
    assert vectors.search(query, 0, -1.0) == [[]]
    assert vectors.search(query, 10, -1.0, lambda _, slots: slots < 0) == [[]]


def test_what_is_held_already_takes_no_room() -> None:
    """Writing the same vector again leaves the array as it was."""
    vectors = VectorSearch(16)
    matrix = units(100)
    for _ in range(50):
        vectors.extend(np.arange(100), matrix)
    assert vectors._view.filled == 100


def test_searches_go_on_while_it_changes() -> None:
    """A vector that is never touched is found by every search, whatever happens around it."""
    vectors = VectorSearch(16, block=512)
    fixed = units(1)
    vectors.extend(np.array([0]), fixed)
    wrong: list[list[VectorNeighbour]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            found = vectors.search(fixed, 1, 0.9999)[0]
            if [near.slot for near in found] != [0]:
                wrong.append(found)

    thread = threading.Thread(target=look)
    thread.start()
    for step in range(60):
        slots = np.arange(1, 500) + 100 * (step % 7)
        vectors.extend(slots, units(499))
        vectors.remove(slots[::2])
    done.set()
    thread.join()
    assert wrong == []
