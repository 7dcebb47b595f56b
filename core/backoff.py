"""Exponential backoff with jitter, for whatever is tried again."""

from __future__ import annotations

import random

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


def doubled(failures: int, first: float, longest: float) -> float:
    """Return `first` seconds after one failure, twice as many after each more, up to `longest`."""
    return float(min(longest, first * 2 ** max(0, min(failures - 1, 16))))


def pause_after(
    failures: int, longest: float = LONGEST_PAUSE, *, first: float | None = None
) -> float:
    """Return the seconds until the next try: doubling with each failure, up to `longest`.

    `first` stands for FIRST_PAUSE. Jitter takes up to half of it off: thousands that failed
    together must not come back together.
    """
    pause = doubled(failures, FIRST_PAUSE if first is None else first, longest)
    return pause * random.uniform(0.5, 1.0)  # noqa: S311  jitter
