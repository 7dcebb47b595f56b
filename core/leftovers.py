"""Pictures that were asked about and are still there: their API and their worker were killed."""

from __future__ import annotations

import time

from core import keys
from core.ports import Blobs

OLD_SECONDS = 600.0
"""A hundred times longer than anybody waits for an answer, and more than clocks are apart."""


def clear(blobs: Blobs, *, now: float | None = None) -> int:
    """Remove those that are old; how many they were. Raise StoreUnavailableError.

    `now` is in seconds since the epoch.
    """
    until = (time.time() if now is None else now) - OLD_SECONDS
    old = [key for key, written in blobs.modified(keys.ASKED) if written < until]
    blobs.delete(old)
    return len(old)
