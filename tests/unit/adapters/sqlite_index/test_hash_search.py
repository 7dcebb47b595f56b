"""Search over 64-bit hashes in memory."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.sqlite_index import hash_search
from adapters.sqlite_index.hash_search import HashNeighbour, HashSearch

RNG = np.random.default_rng(3)


def drawn(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Random hashes, the top bit too."""
    return RNG.integers(0, 2**64, count, np.uint64, endpoint=False)


def brute(held: dict[int, int], turns: list[int], radius: int) -> list[HashNeighbour]:
    """Return the neighbours by measuring every pair."""
    found = []
    for slot, bits in sorted(held.items()):
        distances = [(bits ^ turn).bit_count() for turn in turns]
        if min(distances) <= radius:
            found.append(HashNeighbour(slot, min(distances), distances.index(min(distances))))
    return found


def test_search_equals_brute_force_through_growth_and_removal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hashes put, replaced and removed, over more than one chunk: the same answers."""
    monkeypatch.setattr(hash_search, "_CHUNK", 4_096)
    hashes, held = HashSearch(), {}
    for _ in range(6):
        slots = RNG.permutation(30_000)[:9_000]
        bits = drawn(9_000)
        hashes.extend(slots, bits)
        held.update(zip(slots.tolist(), bits.tolist(), strict=True))
        gone = RNG.permutation(30_000)[:4_000]
        hashes.remove(gone)
        for slot in gone.tolist():
            held.pop(slot, None)
        turns = drawn(8)
        assert hashes.search(turns, 18) == brute(held, turns.tolist(), 18)
        assert len(hashes) == len(held)


def test_equal_turns_answer_the_first() -> None:
    """A symmetric picture has equal turns; the lowest number is returned."""
    hashes = HashSearch()
    bits = drawn(1)
    hashes.extend(np.array([4]), bits)
    turns = np.repeat(bits, 8)
    turns[0] ^= np.uint64(1)
    assert hashes.search(turns, 3) == [HashNeighbour(4, 0, 1)]
    assert HashSearch().search(turns, 64) == []
