"""Search for the nearest records of a space that pass filters, themselves or by a copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from weaviate.classes.query import Filter

from adapters.weaviate_index import collections
from adapters.weaviate_index import filters as passing
from adapters.weaviate_index.candidates import FoundObject, check, nearest, still_there
from adapters.weaviate_index.mapping import StoredRecord
from adapters.weaviate_index.record_reads import HELD, LEAN, RecordReads
from core.filters import ALLOWED, passes
from core.index_port import Filters, Neighbour, RecordCard
from core.types import COPY_KINDS, Vector

_MORE = 16
"""Objects queried beyond the limit, in place of outdated ones."""
STANDINS = 2_000
"""Most passing copies whose originals are named in the query."""


Ranked = tuple[float, int, str]
"""Negative similarity, `born` and image_id: sorted best first, the older of equal ones first."""


class NeighbourSearch:
    """Nearest-neighbour search in one generation."""

    def __init__(self, reading: RecordReads, *, standins: int = STANDINS) -> None:
        self._reading = reading
        self._standins = standins

    def search(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        limit: int,
        min_similarity: float,
        without: Sequence[str],
        filters: Filters | None,
    ) -> list[Neighbour]:
        """Return the nearest records, best first, equal ones in order of projection.

        Records that pass themselves are always found by Weaviate's filter. If few copies pass, the
        filter names their originals; if many do, the copies of near records are checked until
        enough pass.
        """
        if not check(self._reading, space_id, vector) or limit <= 0:
            return []
        wanted = limit, min_similarity, without
        condition = passing.condition(filters)
        if filters is None or condition is None:
            return _neighbours(self._grown(tenant, space_id, vector, wanted=wanted), limit)
        if filters == ALLOWED:
            found = self._grown(
                tenant, space_id, vector, wanted=wanted, condition=condition, among=(filters, set())
            )
            return _neighbours(found, limit)
        copies = self._copies(condition, space_id)
        standing = self._reading.store.count(collections.RECORD, tenant, copies)
        if standing <= self._standins:
            stood = self._originals(tenant, copies, filters, space_id) if standing else set()
            if stood:
                condition |= Filter.by_property("image_id").contains_any(sorted(stood))
            found = self._grown(
                tenant, space_id, vector, wanted=wanted, condition=condition, among=(filters, stood)
            )
            return _neighbours(found, limit)
        alone = self._grown(
            tenant, space_id, vector, wanted=wanted, condition=condition, among=(filters, set())
        )
        # an original that passes by a copy is needed only if nearer than the last of these
        least = min_similarity if len(alone) < limit else max(min_similarity, -alone[-1][0])
        near = self._grown(
            tenant, space_id, vector, wanted=(limit, least, without), among=(filters, None)
        )
        return _neighbours(sorted({*alone, *near}), limit)

    def _grown(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        wanted: tuple[int, float, Sequence[str]],
        condition: Any | None = None,  # noqa: ANN401  # private type
        among: tuple[Filters, set[str] | None] | None = None,
    ) -> list[Ranked]:
        """Query more and more objects until enough are current and pass, and return them sorted.

        `among` has the filters and the originals of passing copies, None if those are too many to
        name: then the copies of near records are checked.
        """
        limit, least, without = wanted
        hidden = set(without)
        asked = limit + len(hidden) + _MORE
        while True:
            found = nearest(
                self._reading, tenant, space_id, vector, limit=asked, condition=condition
            )
            near = [one for one in found if one.similarity >= least]
            told = LEAN if among is None else HELD
            live = self._reading.live(tenant, [one.image_id for one in near], told)
            kept = still_there(near, live, space_id, hidden)
            kept = self._passing(tenant, space_id, kept, live, among)
            if len(kept) >= limit or len(near) < asked or asked >= collections.MOST:
                ranked = ((-one.similarity, live[one.image_id].born, one.image_id) for one in kept)
                return sorted(ranked)[:limit]
            asked = min(collections.MOST, 4 * asked)

    def _passing(
        self,
        tenant: str,
        space_id: str,
        near: Sequence[FoundObject],
        live: dict[str, StoredRecord],
        among: tuple[Filters, set[str] | None] | None,
    ) -> list[FoundObject]:
        """Return the objects that pass themselves, or by a copy without a vector of its own."""
        if among is None:
            return list(near)
        filters, stood = among
        alone = {one.image_id for one in near if passes(live[one.image_id].card, filters)}
        if stood is None:
            others = [one.image_id for one in near if one.image_id not in alone]
            copies = [copy.card for copy in self._reading.copies(tenant, others)]
            stood = _stood_for(copies, space_id, filters)
        return [one for one in near if one.image_id in alone or one.image_id in stood]

    def _originals(
        self,
        tenant: str,
        copies: Any,  # noqa: ANN401  # private type
        filters: Filters,
        space_id: str,
    ) -> set[str]:
        """Return the originals of passing copies without a vector of their own."""
        live = self._reading.live(tenant, self._reading.ids(tenant, copies))
        return _stood_for((one.card for one in live.values()), space_id, filters)

    @staticmethod
    def _copies(condition: Any, space_id: str) -> Any:  # noqa: ANN401  # private type
        """Return the condition on copies without a vector of their own in a space."""
        is_copy = Filter.by_property("verdict").contains_any(list(COPY_KINDS))
        own = Filter.by_property("spaces").equal(space_id)
        return condition & is_copy & Filter.not_(own)


def _stood_for(copies: Iterable[RecordCard], space_id: str, filters: Filters) -> set[str]:
    """Return the originals of copies that pass and have no vector of their own in a space."""
    return {
        card.original for card in copies if space_id not in card.spaces and passes(card, filters)
    }


def _neighbours(found: Sequence[Ranked], limit: int) -> list[Neighbour]:
    return [Neighbour(image_id, -similarity) for similarity, _, image_id in found[:limit]]
