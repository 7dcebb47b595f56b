"""Reserve of decoding lanes: one is kept for pictures that take little time and memory."""

from __future__ import annotations

import heapq
import threading
from typing import Generic, TypeVar

T = TypeVar("T", bound=tuple[int, int, object])


class LaneReserve(Generic[T]):
    """Count of lanes with demanding pictures, and the pictures that wait for one of these lanes.

    With one lane in all there is none to keep.
    """

    def __init__(self, lanes: int) -> None:
        self._most = max(1, lanes - 1)
        self._lock = threading.Lock()
        self._busy = 0
        self._held: list[T] = []

    def enter(self, item: T) -> bool:
        """Take a lane for a demanding item; if none is free, keep the item and return False."""
        with self._lock:
            if self._busy < self._most:
                self._busy += 1
                return True
            heapq.heappush(self._held, item)
            return False

    def leave(self) -> list[T]:
        """Give up a lane; return the least of the items kept, if any, to be tried again."""
        with self._lock:
            self._busy -= 1
            return [heapq.heappop(self._held)] if self._held else []

    def drain(self) -> list[T]:
        """Return all items kept, and keep none."""
        with self._lock:
            held, self._held = self._held, []
            return held
