"""Lists in order: windows of a range-indexed number, wide enough for a page and no wider.

Weaviate refuses a cursor together with a filter, and to sort it reads all that the filter lets
through. So first bitmaps are counted until a window holds about as much as is wanted, and only what
lies in that is sorted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from weaviate.classes.query import Filter

from adapters.weaviate_index import collections
from adapters.weaviate_index.collections import Collections, Found
from adapters.weaviate_index.filters import both

WIDE = 512
"""Objects that may be sorted for one window beside what is wanted: less than counting once more."""
TIES = 2_000
"""Objects of one number that are read to be told apart by their ids; to compare ids in Weaviate
takes a look at every id there is."""
_FIRST = 3_600_000
"""Width of the first window: an hour in milliseconds."""
_WIDEST = 1 << 59
"""Wider than any window: where less is left than was counted before, it was deleted meanwhile."""
_DAY = 86_400_000

Place = tuple[int, str]
"""The number and id of one object."""


class RangePaging(NamedTuple):
    """A list: a collection, its number, the id that settles ties, and what has to be fulfilled."""

    kind: str
    number: str
    ids: str
    newest: bool
    """Largest number first, else smallest."""
    condition: Any | None = None

    def parts(
        self, held: Collections, tenant: str, start: Place | None, wanted: int
    ) -> Iterator[list[Found]]:
        """Objects behind `start` in order, some at a time, until there are no more."""
        while True:
            limit = min(collections.MOST, wanted + WIDE)
            if start is not None:
                equal = Filter.by_property(self.number).equal(start[0])
                ties, more = self._ties(held, tenant, equal, start)
                if ties:
                    yield ties
                    start = self._place(ties[-1])
                if more:
                    continue
            behind = both(self.condition, self._behind(start))
            window = self._window(held, tenant, behind, start, wanted)
            if window is None:
                return
            found = self._sorted(held, tenant, both(behind, window), limit)
            if found:
                yield found
                start = self._place(found[-1])

    def _ties(
        self,
        held: Collections,
        tenant: str,
        equal: Any,  # noqa: ANN401  # private type
        start: Place,
    ) -> tuple[list[Found], bool]:
        """Objects of the same number behind an id, and whether there may be more of them."""
        same = both(self.condition, equal)
        if held.count(self.kind, tenant, same) <= TIES:
            found = self._sorted(held, tenant, same, TIES)
            return [one for one in found if self._after(self._place(one), start)], False
        ids = Filter.by_property(self.ids)
        beyond = ids.less_than(start[1]) if self.newest else ids.greater_than(start[1])
        found = self._sorted(held, tenant, both(same, beyond), TIES)
        return found, len(found) == TIES

    def _window(
        self,
        held: Collections,
        tenant: str,
        behind: Any | None,  # noqa: ANN401  # private type
        start: Place | None,
        wanted: int,
    ) -> Any | None:  # noqa: ANN401  # private type
        """What lies at the near end of what is left, hardly more than is wanted; None for nothing.

        Widened until it holds enough, then halved until it holds little: some ten counts.
        """

        def count(condition: Any | None) -> int:  # noqa: ANN401  # private type
            return held.count(self.kind, tenant, both(behind, condition))

        number = Filter.by_property(self.number)
        all_of_it = number.greater_than(-1)
        left = count(all_of_it)
        if left == 0:
            return None
        if left <= wanted + WIDE:
            return all_of_it
        near = start[0] if start is not None else self._edge(count)
        small, large = 0, _FIRST
        while (there := count(self._inside(near, large))) < wanted and large < _WIDEST:
            small, large = large, 16 * large
        while there > wanted + WIDE and large - small > 1:
            middle = (small + large) // 2
            if (counted := count(self._inside(near, middle))) < wanted:
                small = middle
            else:
                large, there = middle, counted
        return self._inside(near, large)

    def _edge(self, count: Any) -> int:  # noqa: ANN401  # a closure of `_window`
        """A number at or before which a list begins."""
        if not self.newest:
            return 0
        found = round(time.time() * 1000) + _DAY
        while count(Filter.by_property(self.number).greater_than(found)):
            found *= 2
        return found

    def _sorted(
        self,
        held: Collections,
        tenant: str,
        condition: Any | None,  # noqa: ANN401  # private type
        limit: int,
    ) -> list[Found]:
        return held.where(
            self.kind,
            tenant,
            condition,
            limit,
            [self.ids, self.number],
            sort=collections.by(self.number, self.ids, ascending=not self.newest),
        )

    def _place(self, one: Found) -> Place:
        return collections.number(one, self.number), str(one.properties[self.ids])

    def _after(self, place: Place, start: Place) -> bool:
        return place < start if self.newest else place > start

    def _behind(self, start: Place | None) -> Any | None:  # noqa: ANN401  # private type
        if start is None:
            return None
        number = Filter.by_property(self.number)
        return number.less_than(start[0]) if self.newest else number.greater_than(start[0])

    def _inside(self, near: int, width: int) -> Any:  # noqa: ANN401  # private type
        number = Filter.by_property(self.number)
        if self.newest:
            return number.less_or_equal(near) & number.greater_or_equal(max(0, near - width))
        return number.greater_or_equal(near) & number.less_or_equal(near + width)
