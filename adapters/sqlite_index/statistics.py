"""Counts of records, from a table that triggers maintain in constant time."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adapters.sqlite_index import mapping
from core.index_port import CategoryCount, SpaceCoverage, Stats


class _Count(NamedTuple):
    category: str
    verdict: str
    decision: str
    spaces: frozenset[str]
    able: int
    images: int


class _Copies(NamedTuple):
    """Number of copies with the same category and spaces, also of their originals."""

    category: str
    spaces: frozenset[str]
    able: int
    original_spaces: frozenset[str]
    images: int


def stats(db: sqlite3.Connection, number: int, watermark: int, named: Sequence[str] = ()) -> Stats:
    """Return the counts of a tenant, with coverage of the spaces in use and those `named`.

    A copy counts as represented if only its original has a vector. A record counts as missing if it
    could have a vector: a purged picture has no pixels, and one without texts no caption. Only
    copies are read one by one.
    """
    counts = [
        _Count(category, verdict, decision, frozenset(spaces.split()), able, images)
        for category, verdict, decision, spaces, able, images in db.execute(
            "SELECT category, verdict, decision, spaces, able, images FROM counts "
            "WHERE tenant = ? AND images > 0",
            (number,),
        )
    ]
    copies = [
        _Copies(category, frozenset(own.split()), able, frozenset(others.split()), images)
        for category, own, able, others, images in db.execute(
            "SELECT ifnull(r.category, ''), r.spaces, r.able, o.spaces, count(*) "
            "FROM records r INDEXED BY record_by_original_id "
            "CROSS JOIN records o INDEXED BY record_by_id "
            "ON o.tenant = r.tenant AND o.image_id = r.original_id "
            "WHERE r.tenant = ? AND r.original_id IS NOT NULL GROUP BY 1, 2, 3, 4",
            (number,),
        )
    ]
    spaces = sorted(frozenset(named).union(*(count.spaces for count in counts)))
    by_category: dict[str, list[_Count]] = defaultdict(list)
    copies_by_category: dict[str, list[_Copies]] = defaultdict(list)
    for count in counts:
        by_category[count.category].append(count)
    for few in copies:
        copies_by_category[few.category].append(few)
    return Stats(
        total=_group(counts, copies, spaces),
        categories={
            category: _group(by_category[category], copies_by_category[category], spaces)
            for category in sorted(by_category)
            if category
        },
        watermark=watermark,
    )


def _group(counts: list[_Count], copies: list[_Copies], spaces: Iterable[str]) -> CategoryCount:
    verdicts: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    for count in counts:
        verdicts[count.verdict] += count.images
        decisions[count.decision] += count.images
    images = verdicts.total()
    return CategoryCount(
        images=images,
        verdicts=dict(verdicts),
        decisions=dict(decisions),
        spaces={space_id: _coverage(space_id, counts, copies) for space_id in spaces},
    )


def _coverage(space_id: str, counts: list[_Count], copies: list[_Copies]) -> SpaceCoverage:
    bit = mapping.ABLE[space_id.partition("-")[0]]
    present = sum(count.images for count in counts if space_id in count.spaces)
    without = sum(c.images for c in counts if c.able & bit and space_id not in c.spaces)
    stood_for = [
        few for few in copies if space_id not in few.spaces and space_id in few.original_spaces
    ]
    able = sum(few.images for few in stood_for if few.able & bit)
    return SpaceCoverage(present, without - able, sum(few.images for few in stood_for))
