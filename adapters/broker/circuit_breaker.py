"""A broker that is cut or half-open is waited for once, not by every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.broker.errors import broker_errors
from core.errors import QueueUnavailableError

FIRST_PAUSE = 1.0
"""Seconds for which calls fail at once after the first failure: nine in ten uploads of a busy API
then wait for nothing, and a broker that was restarted is found again within a second."""
LONGEST_PAUSE = 10.0
"""Seconds it has doubled to: so long uploads may be left to the sweeper after the broker is back,
which costs nobody anything, as it sweeps as often."""


class CircuitBreaker:
    """Lets calls through until one fails; then none for a while, then one as a trial."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = 0.0
        self._why = ""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raise QueueUnavailableError, at once while it is open."""
        with self._lock:
            now = self._clock()
            if self._pause:
                if now < self._until:
                    raise QueueUnavailableError(f"{self._why} (a moment ago)")
                self._until = now + self._pause  # this call is the trial; the others do not wait
        try:
            with broker_errors():
                yield
        except QueueUnavailableError as error:
            with self._lock:
                self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
                self._until = self._clock() + self._pause
                self._why = error.detail
            raise
        with self._lock:
            self._pause = 0.0
