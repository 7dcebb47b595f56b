"""Throttle of the log: a warning that repeats without end must not fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST = 100
"""Lines of one event that pass at once."""
RATE = 10.0
"""Lines a second of one event that pass for good: 1 MB a minute with short tracebacks."""
EVENTS = 1_000
"""Events that are counted; beyond, counts begin again. The code has fewer names than that."""


@dataclass
class _Bucket:
    """Lines of one event that may pass now, and those left out since the last that did."""

    room: float
    seen: float
    suppressed: int = 0


class LogThrottle(logging.Filter):
    """Filter of a handler: warnings and errors by event, each with a bucket of its own.

    The next line that passes has the number of lines left out before it as `suppressed`. Lines
    below warnings always pass: their number is that of requests and pictures.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line passes; from any thread."""
        if record.levelno < logging.WARNING:
            return True
        fields = record.msg if isinstance(record.msg, dict) else None  # as structlog passes it
        event = str(fields.get("event") if fields else record.msg)
        suppressed = self._take((record.name, event))
        if suppressed is None:
            return False
        if suppressed and fields:
            record.msg = {**fields, "suppressed": suppressed}
        elif suppressed:
            record.suppressed = suppressed
        return True

    def _take(self, key: tuple[str, str]) -> int | None:
        """Return how many lines were left out before this one; None if it is to be, too."""
        now = self._clock()
        with self._lock:
            if len(self._buckets) >= EVENTS:
                self._buckets.clear()
            bucket = self._buckets.setdefault(key, _Bucket(BURST, now))
            bucket.room = min(BURST, bucket.room + (now - bucket.seen) * RATE)
            bucket.seen = now
            if bucket.room < 1:
                bucket.suppressed += 1
                return None
            bucket.room -= 1
            suppressed, bucket.suppressed = bucket.suppressed, 0
            return suppressed
