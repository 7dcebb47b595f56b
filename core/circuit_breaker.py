"""Circuit breaker: what has just failed is tried once in a while, not by every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.backoff import doubled
from core.errors import UnavailableError

_AGAIN = "; it is tried again in a moment"


class CircuitBreaker:
    """Gate that refuses calls for a while after a failure, then lets one through as a trial.

    Closed, it lets every call through. A failure opens it for `first` seconds, each failed trial
    for twice as long, up to `longest`; a success closes it. Safe to use from any thread.
    """

    def __init__(
        self,
        refusal: type[UnavailableError],
        *,
        first: float,
        longest: float,
        after: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `refusal` while it is open, which takes `after` failures without a success."""
        self._refusal = refusal
        self._first = first
        self._longest = longest
        self._after = after
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._why = ""
        self._trying = False
        self._succeeded = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial once the pause is over."""
        return self._failures >= self._after

    @contextmanager
    def guard(self) -> Iterator[bool]:
        """Let a call through; yields whether it is the trial. Raise `refusal` while open.

        An UnavailableError counts as a failure, unless another call succeeded since this one began
        or this one began before the gate opened; other errors say nothing of whether anything is
        there.
        """
        with self._lock:
            if trial := self.is_open:
                if self._trying:
                    raise self._refused()
                self._refuse_early()
                self._trying = True
            began = self._clock()
        try:
            yield trial
        except UnavailableError as error:
            self._failed(error.detail, began, trial=trial)
            raise
        else:
            self.close()
        finally:
            if trial:
                self._trying = False

    def check(self) -> None:
        """Raise `refusal` during a pause, for a call that neither counts nor is a trial."""
        with self._lock:
            self._refuse_early()

    def close(self) -> None:
        """Let every call through: something is there."""
        with self._lock:
            self._failures, self._succeeded = 0, self._clock()

    def _refuse_early(self) -> None:
        if self.is_open and self._clock() < self._until:
            raise self._refused()

    def _refused(self) -> UnavailableError:
        return self._refusal(self._why + _AGAIN)

    def _failed(self, why: str, began: float, *, trial: bool) -> None:
        with self._lock:
            if self._succeeded > began or (self.is_open and not trial):
                return
            self._failures += 1
            self._why = why.removesuffix(_AGAIN)
            pause = doubled(self._failures - self._after + 1, self._first, self._longest)
            self._until = self._clock() + pause
