"""Lists: windows of a range-indexed number, wide enough for a page and no wider.

Weaviate refuses a cursor together with a filter, and to sort it reads all that the filter lets
through. So first bitmaps are counted until a window holds about as much as is wanted, and only what
lies in that is sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from weaviate.classes.aggregate import GroupByAggregate
from weaviate.classes.query import Filter

from adapters.weaviate_index import objects, passing, store
from adapters.weaviate_index.objects import milliseconds
from adapters.weaviate_index.passing import both
from adapters.weaviate_index.reading import Reading
from adapters.weaviate_index.store import Found, Store
from core.entries import Outcome, Record, State
from core.filtering import passes
from core.ports import Filters, Lacking, Page

_SLACK = 64
_WIDE = 512
"""Objects that may be sorted for one window beside what is wanted: less than counting once more."""
_FIRST = 3_600_000
"""Milliseconds of the first window."""


class Window(NamedTuple):
    """Numbers from `low` to `high`, both inside, and how many objects they have."""

    low: int
    high: int
    count: int


class Walk(NamedTuple):
    """A list: a collection, its number and the id that settles ties, newest first or oldest."""

    kind: str
    number: str
    ids: str
    newest: bool


def walk(
    held: Store,
    tenant: str,
    how: Walk,
    condition: Any | None,  # noqa: ANN401  # private type
    start: tuple[int, str] | None,
    wanted: int,
) -> Iterator[list[Found]]:
    """Objects behind `start` in order, in parts, until there are no more.

    `start` is the number and id of the last one seen.
    """
    while True:
        behind = both(condition, _behind(how, start))
        left = held.count(how.kind, tenant, _all(how, behind))
        if not left:
            return
        within = behind
        if left > wanted + _WIDE:
            window = _narrowed(held, tenant, how, behind, start, wanted)
            within = both(behind, _inside(how, window))
        limit = min(store.MOST, wanted + _SLACK)
        found = held.where(
            how.kind,
            tenant,
            _all(how, within),
            limit,
            [how.ids, how.number],
            sort=store.by(how.number, how.ids, ascending=not how.newest),
        )
        if found:
            yield found
        last = found[-1].properties if found else None
        if last is None or (within is behind and len(found) < limit):
            return
        start = int(last[how.number]), str(last[how.ids])


def _narrowed(
    held: Store,
    tenant: str,
    how: Walk,
    behind: Any | None,  # noqa: ANN401  # private type
    start: tuple[int, str] | None,
    wanted: int,
) -> Window:
    """A window at the near end of what is left, with at least `wanted` and hardly more.

    Doubled until it holds enough, then halved until it holds little: some ten counts, each of which
    reads bitmaps alone.
    """
    count: Callable[[Window], int] = lambda window: held.count(  # noqa: E731  # a shorthand
        how.kind, tenant, _all(how, both(behind, _inside(how, window)))
    )
    near = start[0] if start is not None else _edge(held, tenant, how, behind)
    small, large = 0, _FIRST
    while count(_window(how, near, large)) < wanted:
        small, large = large, 16 * large
    while large - small > 1:
        middle = (small + large) // 2
        there = count(_window(how, near, middle))
        if there < wanted:
            small = middle
        else:
            large = middle
            if there <= wanted + _WIDE:
                break
    return _window(how, near, large)


def _edge(held: Store, tenant: str, how: Walk, behind: Any | None) -> int:  # noqa: ANN401  # private type
    """The number that a list begins with, by bits from the highest."""
    found = 0
    for bit in range(62, -1, -1):
        tried = found | 1 << bit
        there = Filter.by_property(how.number).greater_or_equal(tried)
        if how.newest and held.count(how.kind, tenant, _all(how, both(behind, there))):
            found = tried
    return found if how.newest else 0


def _window(how: Walk, near: int, width: int) -> Window:
    low, high = (near - width, near) if how.newest else (near, near + width)
    return Window(low, high, 0)


def _inside(how: Walk, window: Window) -> Any:  # noqa: ANN401  # private type
    number = Filter.by_property(how.number)
    return number.greater_or_equal(window.low) & number.less_or_equal(window.high)


def _behind(how: Walk, start: tuple[int, str] | None) -> Any | None:  # noqa: ANN401  # private type
    if start is None:
        return None
    number, ids = Filter.by_property(how.number), Filter.by_property(how.ids)
    if how.newest:
        return number.less_than(start[0]) | (number.equal(start[0]) & ids.less_than(start[1]))
    return number.greater_than(start[0]) | (number.equal(start[0]) & ids.greater_than(start[1]))


def _all(how: Walk, condition: Any | None) -> Any:  # noqa: ANN401  # private type
    """With any number at all: what is gone has none."""
    return condition if condition is not None else Filter.by_property(how.number).greater_than(-1)


# --- the lists there are ------------------------------------------------------------------------

RECORDS: Final = Walk(store.RECORD, "accepted", "image_id", newest=True)
BIRTHS: Final = Walk(store.RECORD, "born", "image_id", newest=False)
JOBS: Final = Walk(store.JOB, "accepted", "job_id", newest=True)


def page(
    reading: Reading,
    tenant: str,
    filters: Filters,
    limit: int,
    before: tuple[str, str] | None,
) -> Page:
    """Records that pass every filter, newest first."""
    found: list[Record] = []
    start = None if before is None else (milliseconds(before[0]), before[1])
    condition = passing.condition(filters)
    for part in walk(reading.store, tenant, RECORDS, condition, start, limit + 1):
        ids = list(dict.fromkeys(str(one.properties["image_id"]) for one in part))
        live = reading.live(tenant, ids)
        kept = [live[one] for one in ids if one in live and passes(live[one].card, filters)]
        records = reading.records(tenant, kept)
        known = {one.state.image_id for one in found}
        found += [
            records[one.image_id]
            for one in kept
            if one.image_id in records and one.image_id not in known
        ]
        if len(found) > limit:
            break
    return Page(found[:limit], len(found) > limit)


def lacking(reading: Reading, tenant: str, space_id: str, limit: int, after: int) -> Lacking:
    """Records without a vector in a space that could have one, in the order they came to be.

    The place is that of the last one's birth.
    """
    kind = space_id.partition("-")[0]
    condition = Filter.by_property("able").equal(kind) & Filter.not_(
        Filter.by_property("held").equal(space_id)
    )
    found: list[tuple[int, State]] = []
    start = None if after < 0 else (after, "\uffff")
    for part in walk(reading.store, tenant, BIRTHS, condition, start, limit + 1):
        ids = list(dict.fromkeys(str(one.properties["image_id"]) for one in part))
        live = reading.live(tenant, ids)
        for image_id in ids:
            held = live.get(image_id)
            if held is None or any(held.born == born for born, _ in found):
                continue
            state = held.state
            if space_id not in state.spaces and kind in objects.able(state, held.fields):
                found.append((held.born, state))
        if len(found) >= limit:
            break
    found = found[:limit]
    return Lacking([one for _, one in found], found[-1][0] if len(found) == limit else None)


def outcomes(
    reading: Reading,
    tenant: str,
    status: str | None,
    limit: int,
    before: tuple[str, str] | None,
) -> tuple[list[Outcome], bool]:
    """Ended jobs, newest first."""
    found: dict[str, Outcome] = {}
    start = None if before is None else (milliseconds(before[0]), before[1])
    condition = None if status is None else Filter.by_property("status").equal(status)
    for part in walk(reading.store, tenant, JOBS, condition, start, limit + 1):
        ids = list(dict.fromkeys(str(one.properties["job_id"]) for one in part))
        ended = reading.outcomes(tenant, ids)
        for job_id in ids:
            one = ended.get(job_id)
            if one is not None and status in (None, "done" if one.problem is None else "failed"):
                found[job_id] = one
        if len(found) > limit:
            break
    ordered = list(found.values())
    return ordered[:limit], len(ordered) > limit


def values(reading: Reading, tenant: str, by: str, limit: int) -> list[str]:
    """Different values of a property, sorted: Weaviate groups all records by it.

    It reads each of them for that; what only records have that are older or gone does not count.
    """
    name = "tags" if by == "tag" else by
    grouped = reading.store.ask(
        store.RECORD,
        tenant,
        lambda held: (
            held.aggregate.over_all(
                group_by=GroupByAggregate(prop=name, limit=store.MOST), total_count=True
            ).groups
        ),
        [],
    )
    return sorted({str(one.grouped_by.value) for one in grouped})[:limit]
