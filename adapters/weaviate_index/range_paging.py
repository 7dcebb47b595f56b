"""Sorted lists by windows of a range-indexed number, just wide enough for a page.

Weaviate refuses a cursor together with a filter, and reads all matches to sort them. So bitmaps are
counted until a window holds about a page, and only its objects are sorted.
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
"""Objects sorted for one window beyond the page: cheaper than counting once more."""
TIES = 2_000
"""Objects of equal number that are sorted here: Weaviate reads all ids to compare some."""
_FIRST = 3_600_000
"""Width of the first window: an hour in milliseconds."""
_WIDEST = 1 << 59
"""Wider than any window; reached if counted objects were deleted meanwhile."""
_DAY = 86_400_000

Place = tuple[int, str]
"""Number and id of an object."""


class RangePaging(NamedTuple):
    """Sorted list: a collection, its number, the id that orders ties, and a condition."""

    kind: str
    number: str
    ids: str
    newest: bool
    """Whether the largest number is first, else the smallest."""
    condition: Any | None = None

    def parts(
        self, held: Collections, tenant: str, start: Place | None, wanted: int
    ) -> Iterator[list[Found]]:
        """Yield the objects after `start` in order, in parts of about `wanted`."""
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
        """Return objects of the same number after an id, and whether more may follow."""
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
        """Return the condition of a window with little more than `wanted` objects, None if empty.

        It is widened until it holds enough, then halved until it holds few, in about ten counts.
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
        """Return a number at or before which a list begins."""
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
