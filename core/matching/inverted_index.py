"""Inverted index from visual words to stored pictures, with votes on each match.

Postings are in sorted runs that are merged four to one, so that adding is cheap at any size and a
lookup reads a few runs only. Results depend on the content alone, never on the order of additions
or on removed pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.fingerprint.sketches import QuerySketch, Sketch, query_sketches, sketches, terms
from core.fingerprint.visual_words import BITS, TABLES
from core.matching.hough_voting import (
    SHARED,
    Ballot,
    Contest,
    Ints,
    VotePairs,
    distinct_from_last,
    elect,
    sifted,
)
from core.types import Features

Arrays = dict[str, NDArray[Any]]


class FoundRow(NamedTuple):
    """A stored picture by the caller's number, with its votes."""

    row: int
    ballot: Ballot


_MERGE = 4
"""Number of equal runs that are merged into one."""
_COMMON = 0.005
"""Share of the pictures above which a word is too common and is left out of the score."""
_ENOUGH = 2_000
"""Pictures from which a word can be common: below, that share is fewer than ten of them."""
_MOST = 512
"""Pictures with common words that are examined, the rarest words first: up to this number the
result is exact."""
_POSTINGS = 12_288
"""Postings read for one query in one direction, those of the rarest words first: twice what a photo
meets among 8,200 others, so that a lookup among many more takes hardly longer."""
_MANY = 1 << 20
"""Words of a run from which a table of places, 6 MB, is faster than a binary search (measured)."""
_DEAD = 1_024
"""Removed pictures that justify a rebuild, once they are a quarter of the index."""


class _WordPlaces(NamedTuple):
    """Places of the words of a large run, as a bitmap with the counts before each 64 bits.

    A binary search of millions of words misses the processor's caches ten times a word, this twice
    (measured: a lookup among 100,000 pictures took 9 of 27 ms for it, now 2).
    """

    bits: NDArray[np.uint64]
    before: NDArray[np.int32]

    @classmethod
    def of(cls, words: NDArray[np.uint32]) -> _WordPlaces:
        """Return the places of sorted, distinct words."""
        flags = np.zeros(TABLES << BITS, bool)
        flags[words] = True
        bits = np.packbits(flags, bitorder="little").view("<u8")
        counts = np.bitwise_count(bits)
        return cls(bits, np.cumsum(counts, dtype=np.int32) - counts)

    def find(self, asked: NDArray[np.uint32]) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the number of smaller words than each, and whether it is one of them."""
        block, bit = asked >> 6, (asked & 63).astype(np.uint64)
        bits = self.bits[block]
        smaller = np.bitwise_count(bits & ((np.uint64(1) << bit) - np.uint64(1)))
        return self.before[block] + smaller.astype(np.int64), (bits >> bit & np.uint64(1)) > 0


class _Run(NamedTuple):
    """Postings sorted by word: those of `words[k]` are `held[starts[k] : starts[k + 1]]`."""

    words: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    held: NDArray[np.uint32]
    """Slot of a picture above the number of its first keypoint with that word, 8 bits."""
    pictures: int
    places: _WordPlaces | None
    """None for a run of few words."""


class _Met(NamedTuple):
    """Postings that match a query, (n,) each."""

    slots: Ints
    ours: Ints
    theirs: Ints
    weights: NDArray[np.float64]


class InvertedIndex:
    """Index of pictures by their words, in memory, 4 to 5 KB each. The caller locks."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._rows = np.zeros(0, np.int64)
        self._live = np.zeros(0, bool)
        self._sketches: list[Sketch | None] = []
        self._runs: list[_Run] = []
        self._gone: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, row: object) -> bool:
        return row in self._slots

    def add(self, row: int, features: Features) -> None:
        """Add a picture under the caller's number, replacing the one with that number."""
        self.extend([row], [features])

    def extend(self, rows: Sequence[int], features: Sequence[Features]) -> None:
        """Add many pictures, as `add` would one after another: over 20,000 a second."""
        newest = dict(zip(rows, features, strict=True))
        self._hold(list(newest), sketches(list(newest.values())))

    def remove(self, row: int) -> None:
        """Remove a picture; a missing one is no error."""
        slot = self._slots.pop(row, None)
        if slot is None:
            return
        held = self._sketches[slot]
        if held is not None:
            self._gone.update(np.unique(terms(held.codes)).tolist())
        self._sketches[slot] = None
        self._live[slot] = False
        if len(self._sketches) - len(self._slots) > max(_DEAD, len(self._sketches) // 4):
            self._renew()

    def search(self, features: Features, top: int = 20) -> list[FoundRow]:
        """Find the pictures that agree with this one, its mirror image or negative, best first.

        Returns at most `top`. Pictures with common words are examined, up to 512 by the sum of the
        idf of these words; pictures without votes are left out; ties come in the order of rows.
        """
        best: dict[int, Ballot] = {}
        ways = query_sketches(features)
        met = [self._candidates(way) for way in ways]
        votes = elect([contest for _, contest in met])
        for way, (slots, _), counts in zip(ways, met, votes, strict=True):
            for slot, count in zip(slots.tolist(), counts.tolist(), strict=True):
                if count and (slot not in best or count > best[slot].votes):
                    best[slot] = Ballot(count, way.mirrored, way.negative)
        found = [FoundRow(int(self._rows[slot]), won) for slot, won in best.items()]
        return sorted(found, key=lambda one: (-one.ballot.votes, one.row))[:top]

    def dump(self) -> Arrays:
        """Return the content as arrays for `load`; about 3 KB per picture."""
        slots = np.flatnonzero(self._live)
        held = [one for one in map(self._sketches.__getitem__, slots.tolist()) if one is not None]
        return {
            "rows": self._rows[slots],
            "sides": np.array([one.side for one in held], np.int32),
            "lengths": np.array([len(one.codes) for one in held], np.int64),
            "codes": np.concatenate([np.zeros(0, np.uint64), *(one.codes for one in held)]),
            "points": np.concatenate([np.zeros((0, 4), np.int16), *(one.points for one in held)]),
        }

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> InvertedIndex:
        """Restore an index from the arrays of `dump`."""
        made = cls()
        ends = np.cumsum(arrays["lengths"]).tolist()
        held = [
            Sketch(arrays["codes"][end - length : end], arrays["points"][end - length : end], side)
            for end, length, side in zip(
                ends, arrays["lengths"].tolist(), arrays["sides"].tolist(), strict=True
            )
        ]
        made._hold(arrays["rows"].tolist(), held)
        return made

    # --- inside ---------------------------------------------------------------------------------

    def _hold(self, rows: list[int], held: list[Sketch]) -> None:
        for row in rows:
            self.remove(row)
        if not rows:
            return
        first = len(self._sketches)
        if first + len(rows) > len(self._rows):
            size = max(64, 2 * len(self._rows), first + len(rows))
            self._rows = np.resize(self._rows, size)
            self._live = np.concatenate([self._live, np.zeros(size - len(self._live), bool)])
        place = slice(first, first + len(rows))
        self._rows[place] = rows
        self._live[place] = True
        self._sketches.extend(held)
        self._slots.update(zip(rows, range(first, first + len(rows)), strict=True))
        lengths = np.array([len(one.codes) for one in held])
        words = terms(np.concatenate([one.codes for one in held])).astype(np.uint64)
        slots = np.repeat(np.arange(first, first + len(rows)), lengths)
        owners = np.arange(len(slots)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        postings = (slots << 8 | np.minimum(owners, 255)).astype(np.uint64)
        keys = words << np.uint64(32) | np.tile(postings, 2)
        # Sorted and then thinned: numpy's own `unique` hashes first and takes three times as long.
        keys.sort()
        self._runs.append(_run(keys[distinct_from_last(keys >> np.uint64(8))], len(rows)))
        self._merge()

    def _merge(self) -> None:
        """Merge any four runs of about one size."""
        while True:
            sizes = Counter(_level(run) for run in self._runs)
            full = [level for level, count in sizes.items() if count >= _MERGE]
            if not full:
                return
            mine = [run for run in self._runs if _level(run) == min(full)]
            self._runs = [run for run in self._runs if _level(run) != min(full)]
            keys = np.concatenate([_keys(run) for run in mine])
            keys.sort()
            self._runs.append(_run(keys, sum(run.pictures for run in mine)))

    def _renew(self) -> None:
        """Rebuild the index from the pictures that remain."""
        self.__dict__.update(InvertedIndex.load(self.dump()).__dict__)

    def _candidates(self, way: QuerySketch) -> tuple[Ints, Contest]:
        """Return the slots of pictures that share words with one way of a query, to be elected."""
        met = self._meet(way)
        pairs = sifted(met.slots, met.ours, met.theirs)
        # The pairs are sorted by slot, and stay so under the numbers of the slots.
        first = distinct_from_last(pairs.which)
        slots, which = pairs.which[first], np.cumsum(first) - 1
        chosen = (np.bincount(which) >= SHARED) & self._live[slots]
        if np.count_nonzero(chosen) > _MOST:
            good = np.flatnonzero(chosen)
            # Rounded, so that the order in which a sum was made cannot show.
            scores = np.round(np.bincount(met.slots, met.weights)[slots[good]], 6)
            chosen[good[np.lexsort((self._rows[slots[good]], -scores))][_MOST:]] = False
        kept = chosen[which]
        pairs = VotePairs(
            (np.cumsum(chosen) - 1)[which[kept]], pairs.ours[kept], pairs.theirs[kept]
        )
        slots = slots[chosen]
        stored = [one for one in map(self._sketches.__getitem__, slots.tolist()) if one is not None]
        return slots, Contest(way.sketch, stored, pairs)

    def _meet(self, way: QuerySketch) -> _Met:
        """Return every posting of the words of a query, except common ones."""
        asked, owners = way.words, way.owners
        places = [_find(run, asked) for run in self._runs]
        frequency = sum((counts for _, counts in places), np.zeros(len(asked), np.int64))
        if self._gone:
            frequency -= [self._gone[word] for word in asked.tolist()]
        pictures = len(self._slots)
        used = frequency > 0
        if pictures >= _ENOUGH:
            used &= frequency <= _COMMON * pictures
        order = np.argsort(np.where(used, frequency, 0), kind="stable")
        used[order] &= np.cumsum(np.where(used, frequency, 0)[order]) <= _POSTINGS
        weight = np.log(max(1, pictures) / np.maximum(frequency, 1))
        held, whose = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
        for run, (starts, counts) in zip(self._runs, places, strict=True):
            many = np.where(used, counts, 0)
            ends = np.cumsum(many)
            total = int(ends[-1]) if len(ends) else 0
            held.append(run.held[np.arange(total) + np.repeat(starts - ends + many, many)])
            whose.append(np.repeat(np.arange(len(asked)), many))
        found, word = np.concatenate(held).astype(np.int64), np.concatenate(whose)
        return _Met(found >> 8, owners[word], found & 255, weight[word])


def _level(run: _Run) -> int:
    return (run.pictures.bit_length() - 1) // 2


def _run(keys: NDArray[np.uint64], pictures: int) -> _Run:
    """Make a run of sorted keys: word above posting."""
    words = (keys >> np.uint64(32)).astype(np.uint32)
    starts = np.flatnonzero(distinct_from_last(words))
    distinct = words[starts]
    return _Run(
        distinct,
        np.append(starts, len(words)).astype(np.uint32),
        (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        pictures,
        _WordPlaces.of(distinct) if len(distinct) > _MANY else None,
    )


def _keys(run: _Run) -> NDArray[np.uint64]:
    words = np.repeat(run.words.astype(np.uint64), np.diff(run.starts))
    return words << np.uint64(32) | run.held


def _find(run: _Run, asked: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the postings of each word begin, and their number."""
    if not len(run.words):
        return np.zeros(len(asked), np.int64), np.zeros(len(asked), np.int64)
    if run.places is None:
        place = np.minimum(np.searchsorted(run.words, asked), len(run.words) - 1)
        held = run.words[place] == asked
    else:
        place, held = run.places.find(asked)
        place = np.minimum(place, len(run.words) - 1)
    starts, ends = (run.starts[each].astype(np.int64) for each in (place, place + 1))
    return starts, np.where(held, ends - starts, 0)
