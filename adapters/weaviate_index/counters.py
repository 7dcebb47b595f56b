"""Counts of a tenant, updated by the projection of each entry.

Weaviate groups by reading every object, and cannot tell whether the original of a copy has a
vector. So each entry writes, before its records, the counts after it: those of all records, and
those of each category that it changes. The newest counts at or below W are valid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from core.index_port import CategoryCount, SpaceCoverage, Stats


class CountedRecord(NamedTuple):
    """Fields of a record that affect counts."""

    category: str
    verdict: str
    decision: str
    spaces: tuple[str, ...]
    """Spaces with a vector of its own, sorted."""
    able: tuple[str, ...]
    """Kinds of spaces in which it could have one."""
    original: str | None
    """Id of the original of a copy, else None."""


Tally = Counter[str]
"""Number of records by verdict, decision, spaces, kinds, and spaces of a copy's original."""

ALL = ""
"""Name of the tally of all records; the others have the name of their category."""


class RecordChange(NamedTuple):
    """Records before and after an entry, None if there is none."""

    before: Mapping[str, CountedRecord | None]
    after: Mapping[str, CountedRecord | None]
    others: Mapping[str, CountedRecord]
    """Unchanged records that are originals or copies of changed ones."""


def changed(change: RecordChange) -> dict[str, Tally]:
    """Return the differences of the counts by category."""
    sums: dict[str, Tally] = {}
    touched = change.before.keys() | change.after.keys()
    before = {**change.others, **change.before}
    after = {**change.others, **change.after}
    for image_id in touched | change.others.keys():
        for sign, view in ((-1, before), (1, after)):
            kin = view.get(image_id)
            if kin is None:
                continue
            original = view.get(kin.original) if kin.original is not None else None
            name = _name(kin, original)
            for category in {ALL, kin.category}:
                sums.setdefault(category, Counter())[name] += sign
    return {
        category: Counter({name: n for name, n in tally.items() if n})
        for category, tally in sums.items()
        if any(tally.values())
    }


def stats(tallies: Mapping[str, Tally], watermark: int, named: Sequence[str]) -> Stats:
    """Return the counts of these tallies, also of spaces `named` without any vector."""
    total = tallies.get(ALL, Counter())
    spaces = sorted({one for name in +total for one in _read(name)[2]}.union(named))
    return Stats(
        total=_group(total, spaces),
        categories={
            category: _group(tallies[category], spaces)
            for category in sorted(tallies)
            if category != ALL and +tallies[category]
        },
        watermark=watermark,
    )


def _name(kin: CountedRecord, original: CountedRecord | None) -> str:
    stands = sorted(set(original.spaces) - set(kin.spaces)) if original is not None else []
    parts = (kin.spaces, kin.able, stands)
    return "|".join([kin.verdict, kin.decision, *(" ".join(part) for part in parts)])


def _read(name: str) -> tuple[str, str, list[str], list[str], list[str]]:
    verdict, decision, spaces, able, stands = name.split("|")
    return verdict, decision, spaces.split(), able.split(), stands.split()


def _group(tally: Tally, spaces: Iterable[str]) -> CategoryCount:
    rows = [(*_read(name), count) for name, count in tally.items() if count > 0]
    verdicts: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    for verdict, decision, *_, count in rows:
        verdicts[verdict] += count
        decisions[decision] += count
    coverage = {}
    for space_id in spaces:
        kind = space_id.partition("-")[0]
        present = missing = represented = 0
        for _, _, own, able, stands, count in rows:
            present += count if space_id in own else 0
            represented += count if space_id in stands else 0
            lacks = kind in able and space_id not in own and space_id not in stands
            missing += count if lacks else 0
        coverage[space_id] = SpaceCoverage(present, missing, represented)
    return CategoryCount(verdicts.total(), dict(verdicts), dict(decisions), coverage)
