"""Exponential backoff with jitter, for whatever is tried again."""

from __future__ import annotations

import random

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


def pause_after(failures: int, longest: float = LONGEST_PAUSE) -> float:
    """Return the seconds until the next try: doubling with each failure, up to `longest`.

    Jitter takes up to half of it off: thousands that failed together must not come back together.
    """
    pause: float = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 16))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311  jitter
