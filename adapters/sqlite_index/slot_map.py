"""Where each slot lies in an array that is only ever appended to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class SlotMap:
    """Slot to place, dense; -1 for a slot that has none."""

    def __init__(self) -> None:
        self._at = np.full(256, -1, np.int64)
        self.count = 0
        """Slots that have a place."""

    def of(self, slots: Ints) -> Ints:
        """Places of (n,) slots."""
        self._reach(slots)
        return self._at[slots]

    def find(self, slots: Ints) -> Ints:
        """Places of (n,) slots, as `of`; changes nothing, so any thread may ask."""
        at = self._at
        found = np.full(len(slots), -1, np.int64)
        inside = slots < len(at)
        found[inside] = at[slots[inside]]
        return found

    def put(self, slots: Ints, places: Ints) -> None:
        """Give (n,) different slots their places, or -1 to take them away."""
        self._reach(slots)
        self.count += int(np.sum(places >= 0)) - int(np.sum(self._at[slots] >= 0))
        self._at[slots] = places

    def _reach(self, slots: Ints) -> None:
        needed = int(slots.max(initial=-1)) + 1
        if needed > len(self._at):
            grown = np.full(max(needed, 2 * len(self._at)), -1, np.int64)
            grown[: len(self._at)] = self._at
            self._at = grown
