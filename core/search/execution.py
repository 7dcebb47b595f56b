"""Execution of a search: run its lists, collapse, fuse, cut, group, and join the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from msgspec import Struct

from core.filters import card, passes, shows
from core.index_port import Filters, Neighbour
from core.queries import joined_views
from core.queries.joined_views import RecordView
from core.queries.snapshot import Snapshot
from core.search import request
from core.search.bands import DEFAULTS, Band, Bands
from core.search.collapse import CardReader, RankedPicture, collapse
from core.search.fusion import DEEP, HUBS_TOP, WEIGHTS, Mode, Way, fuse, share, without_hubs
from core.search.request import Grouping, SearchRequest
from core.types import SPACE_KINDS, Absent, Matrix, SpaceKind, Vector

DEEPEST = 10_000
"""Maximum depth of a list, even if it finds fewer groups than requested."""
DEEPER = 4
"""Factor by which the lists are deepened if they did not fill the answer."""
MANY = 64
"""Maximum groups that are searched one by one if the first search found too few. More of them are
found by deeper lists: with so many groups, an answer fills soon."""
FEW = 20
"""Depth of each list in the search of one group."""
HUBS_IN = ("hybrid", "text")
"""Mode of the search and kind of query of the lists from which hubs are removed."""

Hubs = Callable[[str, str], Matrix | None]
"""(tenant, visual space) to a bank of (m, d) unit vectors of texts, None if there is none."""
Scale = Callable[[str, str, Way], Bands | None]
"""(tenant, space, kind of query) to the calibrated bands, None if there are none."""


class FoundPicture(Struct, frozen=True, kw_only=True):
    """A picture in the results, and how it matched."""

    seen: RecordView
    similarities: dict[str, float]
    """Cosines by `visual` and `caption`, of the searched spaces in which it or its stand-in is.

    If a text and a picture search one space, the picture's cosine is reported.
    """
    distance: float | None = None
    """Distance by the requested metric, if one space was searched."""
    rank: int
    """Rank in the results, counted from 1."""
    matched_by: tuple[Mode, ...]
    """Modes whose lists contain it."""
    matched_copy_id: str | None = None
    """The copy that matched, or that alone passed the filters, if its original is shown."""
    band: Band | None = None
    """Band of the best of its similarities."""
    group: str | None = None


class RankedList(Struct, frozen=True, kw_only=True):
    """One list of a search: by a vector in a space, or by the words of a text."""

    mode: Mode
    way: Way
    space_id: str | None = None
    vector: Vector | None = None
    """(d,) float32 of unit length in `space_id`; None for a list by keyword."""
    text: str = ""


class SearchResults(Struct, frozen=True, kw_only=True):
    """Results of a search, best first, with the modes that took part."""

    hits: list[FoundPicture]
    used: tuple[Mode, ...]
    missing: tuple[Absent, ...] = ()
    """Modes of hybrid that were left out for lack of a model or a vector, with the reason."""
    lists: tuple[RankedList, ...] = ()
    """The lists that ran, with the query's vector in each space."""


class QueryPlan(Struct, frozen=True, kw_only=True):
    """The lists that one search runs, and the modes it lacks."""

    lists: tuple[RankedList, ...]
    missing: tuple[Absent, ...]
    without: tuple[str, ...]
    """The query picture and its original, which are left out of the results."""


class RankedHit(NamedTuple):
    """A hit before its record is joined."""

    picture: RankedPicture
    matched_by: tuple[Mode, ...]
    group: str | None = None


class SearchExecution:
    """The execution of one search on a snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        ask: SearchRequest,
        plan: QueryPlan,
        *,
        hubs: Hubs | None,
        scale: Scale | None,
    ) -> None:
        self._index = snapshot.index
        self._snapshot = snapshot
        self._tenant = snapshot.tenant
        self._ask = ask
        self._plan = plan
        self._hubs = hubs
        self._scale = scale
        self._cards = CardReader(snapshot)
        self._floors = request.floors(ask)
        self._measuring: dict[SpaceKind, RankedList] = {}
        """By kind, the list whose cosines are reported: a picture's takes precedence."""
        for one in plan.lists:
            if one.mode != "keyword":
                self._measuring.setdefault(one.mode, one)
        self._cosines: dict[tuple[SpaceKind, str], float | None] = {}
        """Cosines by kind and the record that owns the vector."""

    def results(self) -> SearchResults:
        """Run the lists, deeper until they fill the answer or end, and join the best records."""
        plan, limit = self._plan, self._ask.limit
        depth = max(DEEP, 4 * limit)
        while True:
            runs = [self._run(one, depth, self._ask.filters) for one in plan.lists]
            lists = [shown for shown, _ in runs]
            chosen = self._choose(lists)
            if len(chosen) >= limit or depth >= DEEPEST or all(ended for _, ended in runs):
                break
            groups = self._few_groups()
            if groups is not None:
                found = {hit.group for hit in chosen}
                chosen = self._choose(self._with_groups(lists, groups, found))
                break
            depth *= DEEPER
        return SearchResults(
            hits=self._join(chosen),
            used=tuple(dict.fromkeys(one.mode for one in plan.lists)),
            missing=plan.missing,
            lists=plan.lists,
        )

    # --- lists ----------------------------------------------------------------------------------

    def _run(
        self, one: RankedList, depth: int, filters: Filters
    ) -> tuple[list[RankedPicture], bool]:
        """Return the pictures of a list, best first, and whether it has no more."""
        without = self._plan.without
        if one.mode == "keyword" or one.vector is None or one.space_id is None:
            found = self._index.search_keywords(
                self._tenant, one.text, limit=depth, without=without, filters=filters
            )
        else:
            measuring = self._measuring[one.mode] is one
            found = self._index.find_neighbours(
                self._tenant,
                one.space_id,
                one.vector,
                limit=depth,
                min_similarity=self._floors.get(one.mode, -1.0) if measuring else -1.0,
                without=without,
                filters=filters,
            )
            if measuring:
                self._cosines.update({(one.mode, n.image_id): n.similarity for n in found})
            if self._hubs is not None and (self._ask.mode, one.way) == HUBS_IN:
                bank = self._hubs(self._tenant, one.space_id)
                found = found if bank is None else self._without_hubs(bank, one.space_id, found)
        shown = collapse(
            self._cards,
            found,
            filters,
            wanted=self._ask.filters.decision,
            space_id=one.space_id,
            onto_originals=self._ask.collapse,
        )
        return [one for one in shown if one.image_id not in without], len(found) < depth

    def _without_hubs(self, bank: Matrix, space_id: str, found: list[Neighbour]) -> list[Neighbour]:
        """Return a list with its head reordered against hubs, by a bank of texts."""
        head = found[:HUBS_TOP]
        vectors = self._index.read_vectors(self._tenant, space_id, [near.image_id for near in head])
        order = without_hubs([near.similarity for near in head], vectors, bank)
        return [*(head[n] for n in order), *found[HUBS_TOP:]]

    def _few_groups(self) -> list[str] | None:
        """Return the possible groups, None if there are too many to search each."""
        by = self._ask.group_by
        if by is None:
            return None
        values = self._index.list_values(self._tenant, by, MANY + 1)
        return values if len(values) <= MANY else None

    def _with_groups(
        self, lists: list[list[RankedPicture]], groups: Sequence[str], found: set[str | None]
    ) -> list[list[RankedPicture]]:
        """Return the lists, extended by the best pictures of each group not found yet.

        Within a list cosines, and relevances, compare: the order of groups is that of whole lists.
        """
        narrowed = [self._narrowed(group) for group in groups if group not in found]
        longer = []
        for one, shown in zip(self._plan.lists, lists, strict=True):
            more: list[RankedPicture] = []
            for filters in narrowed:
                if filters is not None:
                    more += self._run(one, FEW, filters)[0]
            more.sort(key=lambda picture: -picture.similarity)
            known = {picture.image_id for picture in shown}
            longer.append([*shown, *(one for one in more if one.image_id not in known)])
        return longer

    def _narrowed(self, group: str) -> Filters | None:
        """Return the filters narrowed to one group, None if they exclude it."""
        by, filters = self._ask.group_by, self._ask.filters
        if by is None or by == "tag":
            return filters._replace(tags=(*filters.tags, group))
        if by == "decision":
            wanted = group in filters.decision
            return filters._replace(decision=(group,)) if wanted else None
        given = getattr(filters, by)
        change: dict[str, Any] = {by: group}
        return filters._replace(**change) if given in (None, group) else None

    # --- choosing -------------------------------------------------------------------------------

    def _choose(self, lists: Sequence[list[RankedPicture]]) -> list[RankedHit]:
        """Return at most `limit` hits of all lists, best first, near enough, one for each group."""
        chosen: list[RankedHit] = []
        groups: set[str | None] = set()
        by = self._ask.group_by
        fused = _fused(self._plan.lists, lists)
        if self._ask.mode == "hybrid" and self._floors:
            fused = self._near_enough(fused)
        for hit in fused:
            for group in (None,) if by is None else self._groups(by, hit.picture):
                if by is None or group not in groups:
                    groups.add(group)
                    chosen.append(hit._replace(group=group))
            if len(chosen) >= self._ask.limit:
                break
        return chosen[: self._ask.limit]

    def _near_enough(self, hits: list[RankedHit]) -> list[RankedHit]:
        """Keep hybrid hits that reach the minimum cosine in at least one named space."""
        floors = {kind: self._floors[kind] for kind in self._measuring if kind in self._floors}
        for kind in floors:
            self._measure(kind, [hit.picture for hit in hits])

        def near(picture: RankedPicture) -> bool:
            cosines = ((self._cosine(kind, picture), least) for kind, least in floors.items())
            return any(cosine is not None and cosine >= least for cosine, least in cosines)

        return [hit for hit in hits if near(hit.picture)]

    def _groups(self, by: Grouping, picture: RankedPicture) -> tuple[str | None, ...]:
        """Return the groups of a picture: one for each tag, none without a value."""
        one = self._cards.known[picture.image_id]
        if one is None:
            return (None,)
        if by == "tag":
            return one.tags
        value = getattr(one, by)
        return () if value is None else (value,)

    # --- cosines --------------------------------------------------------------------------------

    def _vector_owners(self, kind: SpaceKind, picture: RankedPicture) -> list[str]:
        """Return the records whose vector may represent the hit, the likeliest first."""
        known = self._cards.known[picture.image_id]
        original = picture.image_id if known is None else known.original
        copies = [picture.copy] if kind == "caption" and picture.copy else []
        return list(dict.fromkeys([*copies, picture.image_id, original]))

    def _measure(self, kind: SpaceKind, pictures: Sequence[RankedPicture]) -> None:
        """Compute and store the cosines that no list measured."""
        measuring = self._measuring[kind]
        ids = dict.fromkeys(
            one for picture in pictures for one in self._vector_owners(kind, picture)
        )
        fresh = [image_id for image_id in ids if (kind, image_id) not in self._cosines]
        if not fresh or measuring.vector is None or measuring.space_id is None:
            return
        vectors = self._index.read_vectors(self._tenant, measuring.space_id, fresh)
        for image_id, vector in zip(fresh, vectors, strict=True):
            cosine = None if vector is None else float(np.dot(measuring.vector, vector))
            self._cosines[kind, image_id] = cosine

    def _cosine(self, kind: SpaceKind, picture: RankedPicture) -> float | None:
        found = (self._cosines.get((kind, one)) for one in self._vector_owners(kind, picture))
        return next((cosine for cosine in found if cosine is not None), None)

    # --- joining --------------------------------------------------------------------------------

    def _join(self, chosen: list[RankedHit]) -> list[FoundPicture]:
        """Return the chosen hits with their records, without those that no longer pass."""
        ids = [hit.picture.image_id for hit in chosen]
        records = self._snapshot.records(ids, vectors=self._ask.with_vectors)
        kept = [
            (hit, record)
            for hit, record in zip(chosen, records, strict=True)
            if record is not None  # deleted since the index was searched
        ]
        seen = joined_views.records(self._snapshot, [record for _, record in kept])
        live = [
            (hit, view)
            for (hit, _), view in zip(kept, seen, strict=True)
            if self._passes(hit, view)
        ]
        for kind in self._measuring:
            self._measure(kind, [hit.picture for hit, _ in live])
        return [self._found(hit, view, rank) for rank, (hit, view) in enumerate(live, 1)]

    def _passes(self, hit: RankedHit, seen: RecordView) -> bool:
        """Return whether the shown record, as read last, passes the filters."""
        filters = self._ask.filters
        copy = None if hit.picture.copy is None else self._cards.known[hit.picture.copy]
        if copy is not None:
            return shows(copy.decision, seen.record.state.decision.value, filters.decision)
        return passes(card(seen.record), filters) and joined_views.shown(seen, filters.decision)

    def _found(self, hit: RankedHit, seen: RecordView, rank: int) -> FoundPicture:
        picture, ask = hit.picture, self._ask
        known = {kind: self._cosine(kind, picture) for kind in self._measuring}
        cosines = {kind: cosine for kind, cosine in known.items() if cosine is not None}
        words: list[Band] = []
        for kind, cosine in cosines.items():  # by the bands calibrated for it, else the defaults
            space_id, way = self._measuring[kind].space_id or "", self._measuring[kind].way
            bands = self._scale and self._scale(self._tenant, space_id, way)
            words.append((bands or DEFAULTS[kind, way]).word(cosine))
        single = ask.mode in SPACE_KINDS
        return FoundPicture(
            seen=seen,
            similarities={str(kind): cosine for kind, cosine in cosines.items()},
            distance=request.distance(ask, picture.similarity) if single else None,
            rank=rank,
            matched_by=hit.matched_by,
            matched_copy_id=picture.copy,
            band=min(words, key=get_args(Band).index, default=None),
            group=hit.group,
        )


def _fused(
    lists: Sequence[RankedList], shown: Sequence[Sequence[RankedPicture]]
) -> list[RankedHit]:
    """Fuse ranked lists; a picture is shown as in the list that adds most to its total."""
    best: dict[str, tuple[float, RankedPicture]] = {}
    modes: dict[str, dict[Mode, None]] = {}
    weighted: list[tuple[float, list[str]]] = []
    for one, pictures in zip(lists, shown, strict=True):
        weight = WEIGHTS[one.mode, one.way]
        weighted.append((weight, [picture.image_id for picture in pictures]))
        for rank, picture in enumerate(pictures):
            worth, image_id = share(weight, rank), picture.image_id
            if image_id not in best or worth > best[image_id][0]:
                best[image_id] = worth, picture
            modes.setdefault(image_id, {})[one.mode] = None
    return [RankedHit(best[image_id][1], tuple(modes[image_id])) for image_id in fuse(weighted)]
