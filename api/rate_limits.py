"""Limits on the requests of a key, and on the wrong keys that come from one network.

They are counted in this process: of several APIs each allows as much.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from adapters.api_keys import RateLimit
from core.errors import RateLimitedError
from core.lru_cache import LRUCache

KEYS = 100_000
"""Keys whose requests are counted: more than a file of keys holds."""
NETWORKS = 10_000
"""Networks whose wrong keys are counted, the latest ones (measured: 2.4 MB)."""
FREE = 10
"""Wrong keys before the first pause: enough to show a person that a key is mistyped."""
LONGEST = 300.0
"""Most seconds of a pause; the first takes one second, and each the double of the one before."""
FORGOTTEN = 3600.0
"""Seconds after its last pause until a network's wrong keys are forgotten."""

logger = structlog.get_logger("api.auth")


class KeyLimits:
    """Requests of each key, as token buckets: `burst` at once, and then `per_second`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._empty: LRUCache[tuple[str, RateLimit], float] = LRUCache(KEYS)
        """Time at which the bucket is full again."""

    def take(self, key: str, limit: RateLimit) -> None:
        """Count a request. Raise RateLimitedError if the bucket is empty."""
        if math.isinf(limit.per_second):
            return
        now = self._clock()
        full = max(now, self._empty.get((key, limit)) or now)
        wait = full - now - (limit.burst - 1) / limit.per_second
        if wait > 1e-9:  # noqa: PLR2004 - rounding of the times
            raise RateLimitedError(
                f"this key may send {limit}; retry after {math.ceil(wait)} s", after=wait
            )
        self._empty.put((key, limit), full + 1 / limit.per_second)


class _Guesses(NamedTuple):
    """The wrong keys of one network, and the end of its pause."""

    wrong: int
    until: float


class GuessThrottle:
    """Pauses for networks that send wrong keys; a right key is never counted or kept out.

    A key is too long to be guessed at any rate that a server answers (`SHORTEST` in
    adapters/api_keys.py), so a pause spares the service and its log. To keep out a right key too
    would let one guesser behind a shared address, or behind a proxy that is not named in
    SEENIT_TRUSTED_PROXY, lock out everybody else.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: LRUCache[str, _Guesses] = LRUCache(NETWORKS)

    def count(self, network: str) -> None:
        """Count a wrong key. Raise RateLimitedError in a pause, in which none is counted."""
        now = self._clock()
        seen = self._seen.get(network) or _Guesses(0, now)
        if now < seen.until:
            wait = seen.until - now
            raise RateLimitedError(
                f"{seen.wrong} wrong keys came from your address, and this one is wrong too: "
                f"retry after {math.ceil(wait)} s; a right key is accepted at any time",
                after=wait,
            )
        wrong = 1 if now - seen.until > FORGOTTEN else seen.wrong + 1
        pause = 0.0 if wrong < FREE else min(LONGEST, 2.0 ** min(wrong - FREE, 16))
        self._seen.put(network, _Guesses(wrong, now + pause))
        if pause:
            logger.warning("key_guesses_paused", network=network, wrong=wrong, seconds=pause)
