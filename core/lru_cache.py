"""LRU cache of cachetools, made safe for threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

import cachetools

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """The values used last, by key, for any number of threads."""

    def __init__(
        self,
        size: float,
        *,
        seconds: float | None = None,
        sizeof: Callable[[V], float] | None = None,
    ) -> None:
        """Hold values of at most `size` together, each for at most `seconds`.

        `sizeof` measures a value; without it each counts as 1.
        """
        self._values: cachetools.Cache[K, V] = (
            cachetools.LRUCache(size, sizeof)
            if seconds is None
            else cachetools.TTLCache(size, seconds, getsizeof=sizeof)
        )
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, now the last one used, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Store a value and return it; those unused for longest make room for it.

        A value larger than the whole cache is returned and not kept.
        """
        with self._lock, suppress(ValueError):
            self._values[key] = value
        return value

    def remove(self, matches: Callable[[K], bool]) -> None:
        """Drop every value whose key matches."""
        with self._lock:
            for key in [key for key in self._values if matches(key)]:
                self._values.pop(key, None)

    def clear(self) -> None:
        """Drop every value at once."""
        with self._lock:
            self._values.clear()
