"""Counts, from a table that triggers keep: the same time for ten records as for a million."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from core.ports import Coverage, Group, Stats


class _Count(NamedTuple):
    category: str
    verdict: str
    decision: str
    spaces: frozenset[str]
    images: int


class _Copies(NamedTuple):
    """Copies by where they and their originals have vectors."""

    category: str
    spaces: frozenset[str]
    original_spaces: frozenset[str]
    images: int


def stats(db: sqlite3.Connection, number: int, watermark: int) -> Stats:
    """Counts of a tenant; a copy counts as represented where only its original has a vector.

    Only the copies are looked at one by one. Spaces that no record has are not named.
    """
    counts = [
        _Count(category, verdict, decision, frozenset(spaces.split()), images)
        for category, verdict, decision, spaces, images in db.execute(
            "SELECT category, verdict, decision, spaces, images FROM counts "
            "WHERE tenant = ? AND images > 0",
            (number,),
        )
    ]
    copies = [
        _Copies(category, frozenset(own.split()), frozenset(others.split()), images)
        for category, own, others, images in db.execute(
            "SELECT ifnull(r.category, ''), r.spaces, o.spaces, count(*) "
            "FROM records r INDEXED BY record_by_original_id "
            "CROSS JOIN records o INDEXED BY record_by_id "
            "ON o.tenant = r.tenant AND o.image_id = r.original_id "
            "WHERE r.tenant = ? AND r.original_id IS NOT NULL GROUP BY 1, 2, 3",
            (number,),
        )
    ]
    spaces = sorted(frozenset[str]().union(*(count.spaces for count in counts)))
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


def _group(counts: list[_Count], copies: list[_Copies], spaces: Iterable[str]) -> Group:
    verdicts: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    for count in counts:
        verdicts[count.verdict] += count.images
        decisions[count.decision] += count.images
    images = verdicts.total()
    return Group(
        images=images,
        verdicts=dict(verdicts),
        decisions=dict(decisions),
        spaces={space_id: _coverage(space_id, images, counts, copies) for space_id in spaces},
    )


def _coverage(space_id: str, images: int, counts: list[_Count], copies: list[_Copies]) -> Coverage:
    present = sum(count.images for count in counts if space_id in count.spaces)
    represented = sum(
        few.images
        for few in copies
        if space_id not in few.spaces and space_id in few.original_spaces
    )
    return Coverage(present, images - present - represented, represented)
