"""Execution of a search: run its lists, collapse, fuse, cut, group, and join the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from msgspec import Struct

from core.filters import card, passes, shows
from core.ports import Filters, Neighbour
from core.queries import joined_views
from core.queries.joined_views import RecordView
from core.queries.snapshot import Snapshot
from core.search import request
from core.search.bands import DEFAULTS, Band, Bands
from core.search.collapse import CardReader, RankedPicture, collapse
from core.search.fusion import DEEP, HUBS_TOP, WEIGHTS, Mode, Way, fuse, share, without_hubs
from core.search.request import SearchRequest
from core.types import SPACE_KINDS, Absent, Matrix, SpaceKind, Vector

DEEPEST = 10_000
"""As far as a list goes: groups fewer than were asked for are not looked for any further."""
DEEPER = 4
"""How many times deeper the lists are asked where they did not fill the answer."""
MANY = 64
"""Groups that are asked for one by one where a first look found too few. More of them are looked
for by going deeper: among so many, an answer fills soon."""
FEW = 20
"""Of such a group, the depth of each list."""
HUBS_IN = ("hybrid", "text")
"""Mode of the search and what asks, of the lists that hubs are taken out of."""

Hubs = Callable[[str, str], Matrix | None]
"""Tenant and visual space to a bank of (m, d) unit vectors of texts."""
Scale = Callable[[str, str, Way], Bands | None]
"""Tenant, space and what asks, to the bands calibrated for it."""


class FoundPicture(Struct, frozen=True, kw_only=True):
    """A picture that was found, and why."""

    seen: RecordView
    similarities: dict[str, float]
    """Cosines by `visual` and `caption`, of the spaces asked that it, or what stands for it, is in.

    Where two things ask one space, that of the picture.
    """
    distance: float | None = None
    """By the metric asked for, where one space was asked."""
    rank: int
    """From 1."""
    matched_by: tuple[Mode, ...]
    """Those whose lists named it."""
    matched_copy_id: str | None = None
    """The copy that matched, or that alone passed the filters, where its original is shown."""
    band: Band | None = None
    """The best of its similarities in words."""
    group: str | None = None


class RankedList(Struct, frozen=True, kw_only=True):
    """One list of a search: by a vector in a space, or by the words of a text."""

    mode: Mode
    way: Way
    space_id: str | None = None
    vector: Vector | None = None
    """(d,) float32, unit length, in `space_id`; None of a list by keyword."""
    text: str = ""


class SearchResults(Struct, frozen=True, kw_only=True):
    """What was found, best first, and what took part."""

    hits: list[FoundPicture]
    used: tuple[Mode, ...]
    missing: tuple[Absent, ...] = ()
    """Of hybrid: what could have been asked but for a model or a vector, and why not."""
    lists: tuple[RankedList, ...] = ()
    """Those that ran, with the vectors that the question has in each space."""


class QueryPlan(Struct, frozen=True, kw_only=True):
    """All lists that one search runs."""

    lists: tuple[RankedList, ...]
    missing: tuple[Absent, ...]
    without: tuple[str, ...]
    """The picture that asks and its original: no answer to itself."""


class RankedHit(NamedTuple):
    """A hit before its record is joined."""

    picture: RankedPicture
    matched_by: tuple[Mode, ...]
    group: str | None = None


class SearchExecution:
    """One search under way."""

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
        """By kind, the list whose cosines are reported: a picture's before a text's."""
        for one in plan.lists:
            if one.mode != "keyword":
                self._measuring.setdefault(one.mode, one)
        self._cosines: dict[tuple[SpaceKind, str], float | None] = {}
        """By kind and the record whose own vector it is of."""

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
        """Return the pictures that a list shows, best first, and whether it has no more."""
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
        shown = collapse(
            self._cards,
            self._without_hubs(one, found),
            filters,
            wanted=self._ask.filters.decision,
            space_id=one.space_id,
            onto_originals=self._ask.collapse,
        )
        return [one for one in shown if one.image_id not in without], len(found) < depth

    def _without_hubs(self, one: RankedList, found: list[Neighbour]) -> list[Neighbour]:
        """Reorder the head of a text's list in hybrid by how far hits stand out, given a bank."""
        space_id = one.space_id
        if self._hubs is None or space_id is None or (self._ask.mode, one.way) != HUBS_IN:
            return found
        bank = self._hubs(self._tenant, space_id)
        if bank is None:
            return found
        head = found[:HUBS_TOP]
        vectors = self._index.read_vectors(self._tenant, space_id, [near.image_id for near in head])
        order = without_hubs([near.similarity for near in head], vectors, bank)
        return [*(head[n] for n in order), *found[HUBS_TOP:]]

    def _few_groups(self) -> list[str] | None:
        """Read the groups there can be, None where there are too many to search each."""
        by = self._ask.group_by
        if by is None:
            return None
        values = self._index.list_values(self._tenant, by, MANY + 1)
        return values if len(values) <= MANY else None

    def _with_groups(
        self, lists: list[list[RankedPicture]], groups: Sequence[str], found: set[str | None]
    ) -> list[list[RankedPicture]]:
        """Return the lists with the best of each group not found yet behind what they have.

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
        """Return the filters for one group alone, None where they leave it out."""
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
        """Return the best of all lists, in order, near enough, one a group, at most the limit."""
        chosen: list[RankedHit] = []
        groups: set[str | None] = set()
        for hit in self._near_enough(_fused(self._plan.lists, lists)):
            for group in self._groups(hit.picture):
                if self._ask.group_by is None or group not in groups:
                    groups.add(group)
                    chosen.append(hit._replace(group=group))
            if len(chosen) >= self._ask.limit:
                break
        return chosen[: self._ask.limit]

    def _near_enough(self, hits: list[RankedHit]) -> list[RankedHit]:
        """Keep hybrid hits that reach the minimum cosine in at least one named space."""
        if self._ask.mode != "hybrid" or not self._floors:
            return hits
        floors = {kind: self._floors[kind] for kind in self._measuring if kind in self._floors}
        for kind in floors:
            self._measure(kind, [hit.picture for hit in hits])

        def near(picture: RankedPicture) -> bool:
            cosines = ((self._cosine(kind, picture), least) for kind, least in floors.items())
            return any(cosine is not None and cosine >= least for cosine, least in cosines)

        return [hit for hit in hits if near(hit.picture)]

    def _groups(self, picture: RankedPicture) -> tuple[str | None, ...]:
        """Return the groups that a picture belongs to: one a tag, none without a value."""
        by = self._ask.group_by
        one = self._cards[picture.image_id]
        if by is None or one is None:
            return (None,)
        if by == "tag":
            return one.tags
        value = getattr(one, by)
        return () if value is None else (value,)

    # --- cosines --------------------------------------------------------------------------------

    def _vector_owners(self, kind: SpaceKind, picture: RankedPicture) -> list[str]:
        """Return the records whose vector may be the hit's own, the likeliest first."""
        known = self._cards[picture.image_id]
        original = picture.image_id if known is None else known.original
        copies = [picture.copy] if kind == "caption" and picture.copy else []
        return list(dict.fromkeys([*copies, picture.image_id, original]))

    def _measure(self, kind: SpaceKind, pictures: Sequence[RankedPicture]) -> None:
        """Read the vectors that no list measured, and keep their cosines."""
        asked = self._measuring[kind]
        ids = dict.fromkeys(
            one for picture in pictures for one in self._vector_owners(kind, picture)
        )
        fresh = [image_id for image_id in ids if (kind, image_id) not in self._cosines]
        if not fresh or asked.vector is None or asked.space_id is None:
            return
        vectors = self._index.read_vectors(self._tenant, asked.space_id, fresh)
        for image_id, vector in zip(fresh, vectors, strict=True):
            cosine = None if vector is None else float(np.dot(asked.vector, vector))
            self._cosines[kind, image_id] = cosine

    def _cosine(self, kind: SpaceKind, picture: RankedPicture) -> float | None:
        found = (self._cosines.get((kind, one)) for one in self._vector_owners(kind, picture))
        return next((cosine for cosine in found if cosine is not None), None)

    # --- joining --------------------------------------------------------------------------------

    def _join(self, chosen: list[RankedHit]) -> list[FoundPicture]:
        """Read the records of the chosen, drop what no longer passes, and say why each matched."""
        ids = [hit.picture.image_id for hit in chosen]
        records = self._snapshot.records(ids, vectors=self._ask.with_vectors)
        kept = [
            (hit, record)
            for hit, record in zip(chosen, records, strict=True)
            if record is not None  # deleted since the index was asked
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
        """Return whether the record that is shown passes as it was read last."""
        filters = self._ask.filters
        copy = None if hit.picture.copy is None else self._cards[hit.picture.copy]
        if copy is not None:
            return shows(copy.decision, seen.record.state.decision.value, filters.decision)
        return passes(card(seen.record), filters) and joined_views.shown(seen, filters.decision)

    def _found(self, hit: RankedHit, seen: RecordView, rank: int) -> FoundPicture:
        picture, ask = hit.picture, self._ask
        known = {kind: self._cosine(kind, picture) for kind in self._measuring}
        cosines = {kind: cosine for kind, cosine in known.items() if cosine is not None}
        words = [self._bands(kind).word(cosine) for kind, cosine in cosines.items()]
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

    def _bands(self, kind: SpaceKind) -> Bands:
        """Return the bands calibrated for a space and what asks it, else the defaults."""
        asked = self._measuring[kind]
        made = self._scale and self._scale(self._tenant, asked.space_id or "", asked.way)
        return made or DEFAULTS[kind, asked.way]


def _fused(
    lists: Sequence[RankedList], shown: Sequence[Sequence[RankedPicture]]
) -> list[RankedHit]:
    """Fuse ranked lists; each picture is shown as the list that gives it the most does."""
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
