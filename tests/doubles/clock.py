"""A double of the module `time`."""

from __future__ import annotations

import time


class Clock:
    """A double of the module `time` whose seconds pass only in `sleep` or when a test adds them."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds
