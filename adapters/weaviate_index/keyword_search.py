"""Keyword search for any word of a query, ranked by Weaviate's BM25."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from adapters.full_text import WEIGHTS, question_words
from adapters.weaviate_index import collections
from adapters.weaviate_index import filters as passing
from adapters.weaviate_index.mapping import WORDS, StoredRecord
from adapters.weaviate_index.record_reads import LEAN, RecordReads
from adapters.weaviate_index.stemming import stemmed
from core.filters import passes
from core.index_port import Filters, Neighbour

_WEIGHTED = [f"{name}^{weight:g}" for name, weight in zip(WORDS, WEIGHTS, strict=True)]
_MORE = 16
"""Records queried beyond the limit, for outdated objects and equal relevance at the end."""
_EQUAL = 512
"""Most records queried to order equal ones; beyond, Weaviate's own order decides."""


def search(
    reading: RecordReads,
    tenant: str,
    text: str,
    *,
    limit: int,
    without: Sequence[str],
    filters: Filters | None,
) -> list[Neighbour]:
    """Return the most relevant records, equal ones in order of projection."""
    asked = stemmed([[" ".join(question_words(text))]])[0][0]
    if not asked or limit <= 0:
        return []
    condition, hidden = passing.condition(filters), frozenset(without)
    depth, equals = limit + len(hidden) + _MORE, limit + len(hidden) + _EQUAL
    while True:
        depth = min(depth, collections.MOST)
        found = _ask(reading, tenant, asked, condition, depth)
        kept = _current(reading, tenant, found, hidden)
        full = len(kept) >= limit and (depth >= equals or _is_sure(kept, found, limit))
        if full or len(found) < depth or depth == collections.MOST:
            return _passing(reading, tenant, kept, limit, filters)
        depth = min(4 * depth, equals) if len(kept) >= limit else 4 * depth


def _current(
    reading: RecordReads,
    tenant: str,
    found: Sequence[tuple[str, int, float]],
    hidden: AbstractSet[str],
) -> list[tuple[float, StoredRecord]]:
    """Return (relevance, record) of the objects that are their record's newest, best first."""
    live = reading.live(tenant, list({image_id for image_id, _, _ in found}), LEAN)
    kept = [
        (relevance, live[image_id])
        for image_id, seq, relevance in found
        if image_id in live and live[image_id].seq == seq and image_id not in hidden
    ]
    return sorted(kept, key=lambda one: (-one[0], one[1].born))


def _is_sure(
    kept: Sequence[tuple[float, StoredRecord]],
    found: Sequence[tuple[str, int, float]],
    limit: int,
) -> bool:
    """Return whether `limit` records are better than the last one found.

    Otherwise the first of equal ones may be beyond the queried depth.
    """
    return sum(relevance > found[-1][2] for relevance, _ in kept) >= limit


def _passing(
    reading: RecordReads,
    tenant: str,
    found: Sequence[tuple[float, StoredRecord]],
    limit: int,
    filters: Filters | None,
) -> list[Neighbour]:
    """Return the first records that pass the filters exactly: Weaviate ignores blanks."""
    kept: list[Neighbour] = []
    for start in range(0, len(found), limit):
        some = found[start : start + limit]
        if filters is not None:
            live = reading.live(tenant, [one.image_id for _, one in some])
            some = [
                (relevance, one)
                for relevance, one in some
                if one.image_id in live and passes(live[one.image_id].card, filters)
            ]
        kept += [Neighbour(one.image_id, max(0.0, relevance)) for relevance, one in some]
        if len(kept) >= limit:
            break
    return kept[:limit]


def _ask(
    reading: RecordReads,
    tenant: str,
    words: str,
    condition: Any | None,  # noqa: ANN401  # private type
    limit: int,
) -> list[tuple[str, int, float]]:
    """Return (image_id, seq, relevance), best first."""
    found = reading.store.many(
        collections.RECORD,
        tenant,
        lambda held: (
            held.query.bm25(
                words,
                query_properties=_WEIGHTED,
                filters=condition,
                limit=limit,
                return_properties=["image_id", "seq"],
                return_metadata=["score"],
            ).objects
        ),
    )
    return [
        (str(one.properties["image_id"]), int(one.properties["seq"]), one.metadata.score or 0.0)
        for one in found
    ]
