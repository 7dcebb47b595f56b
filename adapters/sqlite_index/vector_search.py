"""Exact nearest-neighbour search over the unit vectors of one space in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.sqlite_index.slot_map import Ints, SlotMap
from core.types import Matrix, Vector

_BLOCK = 32_768
"""Rows of a block: 64 MB of 512 dimensions, searched in a few milliseconds."""

WIDE = 8
"""Blocks from which several cores are used: below 200,000 rows waking them costs as much."""
CORES = 4
"""Most cores of one search: two to four saturate the memory bandwidth."""

Keep = Callable[[int, Ints], NDArray[np.bool_]]
"""Function of a query's number and (n,) slots that returns the (n,) mask of allowed ones."""


class VectorNeighbour(NamedTuple):
    """Stored vector near a query, with their cosine."""

    slot: int
    similarity: float


class _VectorSnapshot(NamedTuple):
    """State that a search reads: blocks only grow past `filled`, owners may become -1."""

    blocks: tuple[Matrix, ...]
    starts: tuple[int, ...]
    """First place of each block, followed by the number of places."""
    owners: Ints
    filled: int

    def rows(self, places: Ints) -> Matrix:
        """Return the (n, d) vectors at (n,) places."""
        inside = np.searchsorted(self.starts, places, side="right") - 1
        found = np.empty((len(places), self.blocks[0].shape[1]), np.float32)
        for n in np.unique(inside):
            mine = inside == n
            found[mine] = self.blocks[n][places[mine] - self.starts[n]]
        return found


class VectorSearch:
    """Vectors by slot, for one writer at a time and any number of searches.

    Blocks are added, never moved: a running search keeps its view.
    """

    def __init__(self, dimensions: int, *, block: int = _BLOCK) -> None:
        self.dimensions = dimensions
        self._block = block
        self._places = SlotMap()
        self._view = _VectorSnapshot((), (0,), np.empty(0, np.int64), 0)

    def __len__(self) -> int:
        return self._places.count

    def extend(self, slots: Ints, matrix: Matrix) -> None:
        """Set the vectors of (n,) different slots to the rows of an (n, d) matrix."""
        places = self._places.find(slots)
        changed = places < 0
        known = np.flatnonzero(places >= 0)
        if len(known):
            changed[known] = np.any(self._view.rows(places[known]) != matrix[known], axis=1)
        slots, matrix = slots[changed], matrix[changed]
        self.remove(slots)
        self._append(slots, matrix)

    def remove(self, slots: Ints) -> None:
        """Remove (n,) slots; unknown ones are ignored."""
        places = self._places.find(slots)
        self._view.owners[places[places >= 0]] = -1
        self._places.put(slots, np.full(len(slots), -1))
        view = self._view
        if view.filled > self._block and 2 * len(self) < view.filled:
            kept = np.flatnonzero(view.owners[: view.filled] >= 0)
            packed = VectorSearch(self.dimensions, block=self._block)
            for part in np.array_split(kept, len(kept) // self._block + 1):
                packed._append(view.owners[part], view.rows(part))
            self._places, self._view = packed._places, packed._view

    def have(self, slots: Ints) -> NDArray[np.bool_]:
        """Return an (n,) mask of the (n,) slots that have a vector."""
        return np.asarray(self._places.find(slots) >= 0)

    def search(
        self, queries: Matrix, top: int, floor: float, keep: Keep | None = None
    ) -> list[list[VectorNeighbour]]:
        """Return for each of (m, d) queries the `top` nearest at or above `floor`, best first.

        The result is exact: a matrix product preselects, and `numpy.dot` compares the rest row by
        row, so that it depends on neither batch nor block. Equal ones are in order of slots.
        """
        view = self._view
        if top <= 0:
            return [[] for _ in queries]
        # error bound of two float32 dot products of unit vectors (Higham 2002, 3.1), twice: for the
        # vector that is kept and for the one that is dropped
        slack = 4 * self.dimensions * 2.0**-24
        found = [_Best(n, top, floor, slack, keep) for n in range(len(queries))]
        parts = [
            (start, block[: view.filled - start])
            for block, start in zip(view.blocks, view.starts, strict=False)
            if start < view.filled
        ]
        products: Iterable[Matrix]
        if len(parts) < WIDE:
            products = (_products(queries, block) for _, block in parts)
        else:  # numpy releases the interpreter lock, and one core does not saturate the memory
            products = _cores().map(lambda part: _products(queries, part[1]), parts)
        for (start, block), product in zip(parts, products, strict=True):
            owners = view.owners[start : start + len(block)]
            for best, row in zip(found, product, strict=True):
                best.offer(row, owners, start)
        return [
            _measured(view, query, best.places, top, floor)
            for best, query in zip(found, queries, strict=True)
        ]

    def among(self, query: Vector, slots: Ints, top: int, floor: float) -> list[VectorNeighbour]:
        """Search for one query like `search`, among (n,) slots only: no other vector is read."""
        if top <= 0:
            return []
        while True:
            view = self._view
            places = self._places.find(slots)
            seen = (places >= 0) & (places < view.filled)
            places, owners = places[seen], view.owners[places[seen]]
            if np.all((owners == slots[seen]) | (owners < 0)):  # else `remove` packed it meanwhile
                return _measured(view, query, places, top, floor)

    def _append(self, slots: Ints, matrix: Matrix) -> None:
        blocks, starts, owners, count = self._view
        end = count + len(slots)
        while starts[-1] < end:
            rows = min(self._block, max(256, starts[-1]))
            blocks = (*blocks, np.empty((rows, self.dimensions), np.float32))
            starts = (*starts, starts[-1] + rows)
        if len(owners) < starts[-1]:
            grown = np.empty(max(starts[-1], 2 * len(owners)), np.int64)
            grown[:count] = owners[:count]
            owners = grown
        owners[count:end] = slots
        for n, block in enumerate(blocks):
            low, high = max(count, starts[n]), min(end, starts[n + 1])
            if low < high:
                block[low - starts[n] : high - starts[n]] = matrix[low - count : high - count]
        self._places.put(slots, np.arange(count, end))
        self._view = _VectorSnapshot(blocks, starts, owners, end)


class _Best:
    """Best places of one query so far, with all that float32 rounding does not rule out."""

    def __init__(self, query: int, top: int, floor: float, slack: float, keep: Keep | None) -> None:
        self._query = query
        self._keep = keep
        self._top = top
        self._slack = slack
        self._least = floor - slack
        self._similarities = np.empty(0, np.float32)
        self.places = np.empty(0, np.int64)

    def offer(self, similarities: NDArray[np.float32], owners: Ints, start: int) -> None:
        """Add a block's (n,) similarities; `owners` are its slots, `start` is its first place."""
        near = np.flatnonzero(similarities >= self._least)
        wanted = 2 * self._top + 64
        while len(near):
            some, complete = near, True
            if len(near) > wanted:
                values = similarities[near]
                least = np.partition(values, -wanted)[-wanted]
                some = near[values >= least - self._slack]
                complete = len(some) == len(near)
            slots = owners[some]
            good = slots >= 0
            if self._keep is not None:
                good[good] = self._keep(self._query, slots[good])
            some = some[good]
            if complete or len(some) >= self._top:
                break
            wanted *= 4
        else:
            return
        self._similarities = np.concatenate([self._similarities, similarities[some]])
        self.places = np.concatenate([self.places, some + start])
        if len(self.places) > self._top:
            last = np.partition(self._similarities, -self._top)[-self._top]
            self._least = max(self._least, float(last) - self._slack)
            left = self._similarities >= self._least
            self._similarities, self.places = self._similarities[left], self.places[left]


def _measured(
    view: _VectorSnapshot, query: Vector, places: Ints, top: int, floor: float
) -> list[VectorNeighbour]:
    """Return the best of the vectors at (n,) places, compared row by row with `numpy.dot`."""
    if not len(places):
        return []
    exact = np.array([float(np.dot(query, row)) for row in view.rows(places)])
    slots = view.owners[places]
    order = np.lexsort((slots, -exact))
    return [
        VectorNeighbour(int(slots[n]), float(exact[n]))
        for n in order
        if exact[n] >= floor and slots[n] >= 0
    ][:top]


@cache
def _cores() -> ThreadPoolExecutor:
    """Return the thread pool, created at first use."""
    return ThreadPoolExecutor(min(CORES, os.cpu_count() or 1), thread_name_prefix="vectors")


def _products(queries: Matrix, block: Matrix) -> Matrix:
    """Return (m, n) dot products; one query is a vector product, which reads the block once."""
    product = (block @ queries[0])[None, :] if len(queries) == 1 else queries @ block.T
    return np.asarray(product, np.float32)
