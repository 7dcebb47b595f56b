"""Exhaustive search of the 64-bit hashes of all anchors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.sqlite_index.slot_map import Ints, SlotMap

Hash64 = NDArray[np.uint64]

_CHUNK = 32_768
"""Hashes compared at once: they and their distances take 0.6 MB of a core's own cache. Among a
million, with eight turns, a search took 5.3 ms of CPU, with half as many 5.9, with a quarter 6.9
(measured, median of 25 in turn)."""


class HashNeighbour(NamedTuple):
    """Stored hash near a query, with the closest of its turns, the first of equal ones."""

    slot: int
    hamming: int
    turn: int


class _HashSnapshot(NamedTuple):
    """State that a search reads: arrays that only grow past `filled`, or lose an owner."""

    bits: Hash64
    owners: Ints
    filled: int


class HashSearch:
    """Hashes by slot, for one writer at a time and any number of searches."""

    def __init__(self) -> None:
        self._view = _HashSnapshot(np.empty(256, np.uint64), np.empty(256, np.int64), 0)
        self._places = SlotMap()

    def __len__(self) -> int:
        return self._places.count

    def extend(self, slots: Ints, bits: Hash64) -> None:
        """Set the hashes of (n,) different slots to (n,) `bits`."""
        places = self._places.find(slots)
        changed = (places < 0) | (self._view.bits[places] != bits)
        slots, bits = slots[changed], bits[changed]
        self.remove(slots)
        view, more = self._view, len(slots)
        if view.filled + more > len(view.bits):  # the larger one leaves out removed hashes
            kept = np.flatnonzero(view.owners[: view.filled] >= 0)
            size = 2 * (len(kept) + more)
            grown = _HashSnapshot(np.empty(size, np.uint64), np.empty(size, np.int64), len(kept))
            grown.bits[: len(kept)] = view.bits[kept]
            grown.owners[: len(kept)] = view.owners[kept]
            self._places.put(view.owners[kept], np.arange(len(kept)))
            view = grown
        start, end = view.filled, view.filled + more
        view.bits[start:end] = bits
        view.owners[start:end] = slots
        self._places.put(slots, np.arange(start, end))
        self._view = view._replace(filled=end)

    def remove(self, slots: Ints) -> None:
        """Remove (n,) slots; unknown ones are ignored."""
        places = self._places.find(slots)
        self._view.owners[places[places >= 0]] = -1
        self._places.put(slots, np.full(len(slots), -1))

    def search(self, turns: Hash64, radius: int) -> list[HashNeighbour]:
        """Return the hashes within `radius` bits of any of (t,) `turns`, in order of slots."""
        bits, owners, count = self._view
        size = min(_CHUNK, count)
        apart = np.empty(size, np.uint64)
        each, least = np.empty(size, np.uint8), np.empty(size, np.uint8)
        found = [np.empty(0, np.int64)]
        for start in range(0, count, _CHUNK):
            part = bits[start : min(start + _CHUNK, count)]
            n = len(part)
            least.fill(64)
            for turn in turns:
                np.bitwise_xor(part, turn, out=apart[:n])
                np.bitwise_count(apart[:n], out=each[:n])
                np.minimum(least[:n], each[:n], out=least[:n])
            found.append(np.flatnonzero(least[:n] <= radius) + start)
        places = np.concatenate(found)
        distances = np.bitwise_count(bits[places, None] ^ turns[None, :])
        turn = distances.argmin(axis=1)
        return sorted(
            HashNeighbour(int(slot), int(distances[n, turn[n]]), int(turn[n]))
            for n, slot in enumerate(owners[places])
            if slot >= 0
        )
