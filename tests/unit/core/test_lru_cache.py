"""The cache: what is kept, how long, and how much of it."""

from __future__ import annotations

import time

from core.lru_cache import LRUCache


def test_the_value_unused_for_longest_makes_room() -> None:
    """Using a value counts as well as storing it."""
    cache: LRUCache[str, int] = LRUCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_values_count_by_their_size() -> None:
    """A value larger than the cache is handed back, and evicts none."""
    cache: LRUCache[str, bytes] = LRUCache(4, sizeof=len)
    assert cache.put("a", b"xxx") == b"xxx"
    assert cache.put("b", b"xxxxx") == b"xxxxx"
    assert (cache.get("a"), cache.get("b")) == (b"xxx", None)
    cache.put("c", b"xx")
    assert (cache.get("a"), cache.get("c")) == (None, b"xx")


def test_values_are_dropped_by_key_and_by_age() -> None:
    """They go after some seconds, or on request."""
    cache: LRUCache[str, int] = LRUCache(8, seconds=0.05)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.remove(lambda key: key == "a")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    time.sleep(0.06)
    assert cache.get("b") is None
    lasting: LRUCache[str, int] = LRUCache(8)
    lasting.put("a", 1)
    lasting.clear()
    assert lasting.get("a") is None
