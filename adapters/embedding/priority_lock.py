"""Priority lock for computing: one forward pass at a time, urgent callers first."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LEEWAY = 8
"""Number of urgent callers that may pass a normal one: frequent checks must not stop ingest."""
CALM = 2.0
"""Seconds after the last urgent caller until normal callers may use all cores."""


class PriorityLock:
    """Lock with a queue of normal and urgent callers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[tuple[int, int]] = []
        self._came = 0
        self._taken = False
        self._urgent = -math.inf

    @property
    def waiting(self) -> int:
        """Return the number of waiting callers."""
        return len(self._line)

    @contextmanager
    def take(self, *, urgent: bool = False) -> Iterator[bool]:
        """Wait for a turn and hold it. Urgent callers pass others, but none more than 8 times.

        Yields whether there were recent urgent callers, whose pictures are decoded at the same
        time.
        """
        with self._changed:
            self._came += 1
            if urgent:
                self._urgent = time.monotonic()
            # An urgent caller passes only those who came less than LEEWAY callers before it.
            place = (self._came + (0 if urgent else LEEWAY), self._came)
            heapq.heappush(self._line, place)
            try:
                self._changed.wait_for(lambda: not self._taken and self._line[0] == place)
            finally:  # interrupted, it must not stay in the others' way
                self._line.remove(place)
                heapq.heapify(self._line)
                self._changed.notify_all()
            self._taken = True
        try:
            yield time.monotonic() - self._urgent < CALM
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


SHARED = PriorityLock()
"""Lock of all models in this process: they share its cores, or its one device."""
