"""Counts of a tenant, kept while entries are projected, so that nobody counts records one by one.

Weaviate groups by reading every object, and cannot say of a copy whether its original has a vector.
So each entry writes, before its records, what the counts will be once it is through: those of all
records, and those of each category that it changes. In force are the newest at or below W.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from core.ports import CategoryCount, SpaceCoverage, Stats


class CountedRecord(NamedTuple):
    """What counts look at in a record."""

    category: str
    verdict: str
    decision: str
    spaces: tuple[str, ...]
    """Those that it has a vector of its own in, sorted."""
    able: tuple[str, ...]
    """Kinds of spaces that it could have one in."""
    original: str | None
    """None where it is no copy."""


Tally = Counter[str]
"""Records by verdict, decision, spaces, abilities, and the spaces of a copy's original."""

ALL = ""
"""The tally of all records; the others go by category. An empty category is none."""


class RecordChange(NamedTuple):
    """Records as they were and as they will be; None where there is none."""

    before: Mapping[str, CountedRecord | None]
    after: Mapping[str, CountedRecord | None]
    others: Mapping[str, CountedRecord]
    """Untouched records that the touched ones point at, or that point at touched ones."""


def changed(change: RecordChange) -> dict[str, Tally]:
    """By category, what is to be added to its counts, and taken away."""
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
    """What these tallies say; of the spaces `named` also where no record has a vector in them."""
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
