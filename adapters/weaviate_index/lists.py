"""Lists of records, records without a vector, jobs and values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from weaviate.classes.aggregate import GroupByAggregate
from weaviate.classes.query import Filter

from adapters.weaviate_index import collections, counters
from adapters.weaviate_index import filters as passing
from adapters.weaviate_index.mapping import StoredRecord, milliseconds
from adapters.weaviate_index.range_paging import RangePaging
from adapters.weaviate_index.record_reads import RecordReads
from adapters.weaviate_index.tenant_state import TenantState
from core.filters import passes
from core.index_port import Filters, IndexPage, MissingVectors
from core.records import Outcome, Record, State, embeddable_kinds

RECORDS: Final = RangePaging(collections.RECORD, "accepted", "image_id", newest=True)
BIRTHS: Final = RangePaging(collections.RECORD, "born", "image_id", newest=False)
JOBS: Final = RangePaging(collections.JOB, "accepted", "job_id", newest=True)


def page(
    reading: RecordReads,
    tenant: str,
    filters: Filters,
    limit: int,
    before: tuple[str, str] | None,
) -> IndexPage:
    """Return records that pass every filter, newest first."""
    found: list[Record] = []
    condition = passing.condition(filters)
    for part in _newest_first(reading, tenant, condition, limit + 1, before):
        kept = [one for one in part if passes(one.card, filters)]
        records = reading.records(tenant, kept)
        known = {one.state.image_id for one in found}
        found += [
            records[one.image_id]
            for one in kept
            if one.image_id in records and one.image_id not in known
        ]
        if len(found) > limit:
            break
    return IndexPage(found[:limit], len(found) > limit)


def variants(
    reading: RecordReads, tenant: str, image_id: str, limit: int, before: tuple[str, str] | None
) -> list[State]:
    """Return records whose verdict names a picture as a variant, newest first."""
    found: dict[str, State] = {}
    condition = Filter.by_property("variants").equal(image_id)
    for part in _newest_first(reading, tenant, condition, limit, before):
        states = (one.state for one in part)
        found |= {one.image_id: one for one in states if image_id in one.verdict.variants}
        if len(found) >= limit:
            break
    return list(found.values())[:limit]


def _newest_first(
    reading: RecordReads,
    tenant: str,
    condition: Any,  # noqa: ANN401  # private type
    limit: int,
    before: tuple[str, str] | None,
) -> Iterator[list[StoredRecord]]:
    """Yield, part by part, the live records of which some object matches a condition."""
    start = None if before is None else (milliseconds(before[0]), before[1])
    walk = RECORDS._replace(condition=condition)
    for part in walk.parts(reading.store, tenant, start, limit):
        ids = list(dict.fromkeys(str(one.properties["image_id"]) for one in part))
        live = reading.live(tenant, ids)
        yield [live[one] for one in ids if one in live and live[one].shown]


def lacking(
    reading: RecordReads, tenant: str, space_id: str, limit: int, after: int
) -> MissingVectors:
    """Return records that lack a possible vector in a space, in order of projection.

    The place to continue from is the `born` of the last one.
    """
    kind = space_id.partition("-")[0]
    condition = Filter.by_property("able").equal(kind) & Filter.not_(
        Filter.by_property("held").equal(space_id)
    )
    found: dict[int, State] = {}
    start = None if after < 0 else (after, "\uffff")
    walk = BIRTHS._replace(condition=condition)
    for part in walk.parts(reading.store, tenant, start, limit + 1):
        ids = list(dict.fromkeys(str(one.properties["image_id"]) for one in part))
        live = reading.live(tenant, ids)
        for image_id in ids:
            held = live.get(image_id)
            if held is None or held.born in found:
                continue
            state = held.state
            if space_id not in state.spaces and kind in embeddable_kinds(state, held.fields):
                found[held.born] = state
        if len(found) >= limit:
            break
    told = list(found.items())[:limit]
    return MissingVectors([one for _, one in told], told[-1][0] if len(told) == limit else None)


def outcomes(
    reading: RecordReads,
    tenant: str,
    status: str | None,
    limit: int,
    before: tuple[str, str] | None,
) -> tuple[list[Outcome], bool]:
    """Return ended jobs, newest first, and whether more follow."""
    found: dict[str, Outcome] = {}
    start = None if before is None else (milliseconds(before[0]), before[1])
    condition = None if status is None else Filter.by_property("status").equal(status)
    walk = JOBS._replace(condition=condition)
    for part in walk.parts(reading.store, tenant, start, limit + 1):
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


def values(
    reading: RecordReads,
    head: TenantState,
    tenant: str,
    by: Literal["category", "owner_id", "decision", "verdict", "tag"],
    limit: int,
) -> list[str]:
    """Return at most `limit` distinct values of a property, sorted.

    Categories, decisions and verdicts are read from the counts. For owners and tags Weaviate groups
    all objects, reading each (it may omit some of more than 10,000 values); then each value is
    checked, as outdated objects are grouped too.
    """
    if by in ("category", "decision", "verdict"):
        held = head.tallies(tenant, head.watermark(tenant), None if by == "category" else [""])
        told = counters.stats({name: tally for name, (_, tally) in held.items()}, 0, ())
        found = {
            "category": told.categories.keys(),
            "decision": told.total.decisions.keys(),
            "verdict": told.total.verdicts.keys(),
        }[by]
        return sorted(found)[:limit]
    name = "tags" if by == "tag" else by
    grouped = reading.store.many(
        collections.RECORD,
        tenant,
        lambda held: (
            held.aggregate.over_all(
                group_by=GroupByAggregate(prop=name, limit=collections.MOST), total_count=True
            ).groups
        ),
    )
    kept: list[str] = []
    for value in sorted(str(one.grouped_by.value) for one in grouped):
        if len(kept) == limit:
            break
        filters = Filters(tags=(value,)) if by == "tag" else Filters(owner_id=value)
        if page(reading, tenant, filters, 1, None).records:
            kept.append(value)
    return kept
