"""Map from slots to places in an array that is only appended to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class SlotMap:
    """Dense map from slot to place, -1 for a slot without one."""

    def __init__(self) -> None:
        self._at = np.full(256, -1, np.int64)
        self.count = 0
        """Number of slots that have a place."""

    def find(self, slots: Ints) -> Ints:
        """Return the (n,) places of (n,) slots, -1 without one; safe from any thread."""
        at = self._at
        found = np.full(len(slots), -1, np.int64)
        inside = slots < len(at)
        found[inside] = at[slots[inside]]
        return found

    def put(self, slots: Ints, places: Ints) -> None:
        """Set the places of (n,) different slots; -1 removes one. The map grows for new slots."""
        needed = int(slots.max(initial=-1)) + 1
        if needed > len(self._at):
            grown = np.full(max(needed, 2 * len(self._at)), -1, np.int64)
            grown[: len(self._at)] = self._at
            self._at = grown
        self.count += int(np.sum(places >= 0)) - int(np.sum(self._at[slots] >= 0))
        self._at[slots] = places
