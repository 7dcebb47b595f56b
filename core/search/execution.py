"""Answering a search: its lists asked, collapsed, fused, cut, grouped and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from msgspec import Struct

from core.filters import card, passes, shows
from core.ports import Filters, Index, Neighbour
from core.queries import joined_views
from core.queries.joined_views import RecordView
from core.queries.snapshot import Snapshot
from core.search import request
from core.search.bands import DEFAULTS, Band, Bands
from core.search.collapse import CardReader, RankedPicture, stand
from core.search.fusion import DEEP, HUBS_TOP, WEIGHTS, Mode, Way, fuse, share, without_hubs
from core.search.request import SearchRequest
from core.types import Absent, Matrix, SpaceKind, Vector

DEEPEST = 10_000
"""As far as a list goes: groups fewer than were asked for are not looked for any further."""
DEEPER = 4
"""How many times deeper the lists are asked where they did not fill the answer."""
MANY = 64
"""Groups that are asked for one by one where a first look found too few. More of them are looked
for by going deeper: among so many, an answer fills soon."""
FEW = 20
"""Of such a group, the depth of each list."""

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


class SearchResults(Struct, frozen=True, kw_only=True):
    """What was found, best first, and what took part."""

    hits: list[FoundPicture]
    used: tuple[Mode, ...]
    missing: tuple[Absent, ...] = ()
    """Of hybrid: what could have been asked but for a model or a vector, and why not."""


class RankedList(Struct, frozen=True, kw_only=True):
    """One list that is asked for."""

    mode: Mode
    way: Way
    space_id: str | None = None
    vector: Vector | None = None
    text: str = ""


class QueryPlan(Struct, frozen=True, kw_only=True):
    """All that one search asks."""

    questions: list[RankedList]
    missing: tuple[Absent, ...]
    without: tuple[str, ...]
    """The picture that asks and its original: no answer to itself."""


class RankedHit(NamedTuple):
    """A hit before its record is joined."""

    stand: RankedPicture
    matched_by: tuple[Mode, ...]
    group: str | None


class SearchExecution:
    """One search under way."""

    def __init__(
        self,
        index: Index,
        overlay: Snapshot,
        ask: SearchRequest,
        sought: QueryPlan,
        *,
        hubs: Hubs | None,
        scale: Scale | None,
    ) -> None:
        self._index = index
        self._overlay = overlay
        self._tenant = overlay.tenant
        self._ask = ask
        self._filters = ask.filters
        self._sought = sought
        self._hubs = hubs
        self._scale = scale
        self._cards = CardReader(index, overlay)
        self._floors = request.floors(ask)
        self._asked: dict[SpaceKind, RankedList] = {}
        """By kind, the question whose cosines are told: a picture's before a text's."""
        for question in sought.questions:
            if question.mode != "keyword":
                self._asked.setdefault(question.mode, question)
        self._cosines: dict[tuple[SpaceKind, str], float | None] = {}
        """By kind and the record whose own vector it is of."""

    def results(self) -> SearchResults:
        """Ask, and ask deeper, until the answer is full or there is no more."""
        depth = max(DEEP, 4 * self._ask.limit)
        while True:
            asked = [self._list(question, depth) for question in self._sought.questions]
            lists = [shown for shown, _ in asked]
            chosen = self._chosen(lists)
            ended = depth >= DEEPEST or all(ended for _, ended in asked)
            if len(chosen) >= self._ask.limit or ended:
                break
            values = self._values()
            if values is not None:
                groups = {one.group for one in chosen}
                chosen = self._chosen(self._longer(lists, [v for v in values if v not in groups]))
                break
            depth *= DEEPER
        used = tuple(dict.fromkeys(question.mode for question in self._sought.questions))
        return SearchResults(hits=self._told(chosen), used=used, missing=self._sought.missing)

    def _values(self) -> list[str] | None:
        """The groups there can be, None where there are too many to ask for each."""
        by = self._ask.group_by
        if by is None:
            return None
        values = self._index.values(self._tenant, by, MANY + 1)
        return values if len(values) <= MANY else None

    def _longer(
        self, lists: list[list[RankedPicture]], values: Sequence[str]
    ) -> list[list[RankedPicture]]:
        """Lists with the best of each of these groups behind what they have.

        Within a list cosines, and relevances, compare: the order of groups is that of whole lists.
        """
        longer = []
        for question, shown in zip(self._sought.questions, lists, strict=True):
            more: list[RankedPicture] = []
            for value in values:
                narrowed = self._narrowed(value)
                if narrowed is not None:
                    more += self._list(question, FEW, narrowed)[0]
            more.sort(key=lambda one: -one.similarity)
            known = {one.image_id for one in shown}
            longer.append([*shown, *(one for one in more if one.image_id not in known)])
        return longer

    def _narrowed(self, value: str) -> Filters | None:
        """The filters, for one group alone; None where they leave it out."""
        by, filters = self._ask.group_by, self._ask.filters
        if by is None or by == "tag":
            return filters._replace(tags=(*filters.tags, value))
        if by == "decision":
            wanted = value in filters.decision
            return filters._replace(decision=(value,)) if wanted else None
        given = getattr(filters, by)
        change: dict[str, Any] = {by: value}
        return filters._replace(**change) if given in (None, value) else None

    # --- lists ----------------------------------------------------------------------------------

    def _list(
        self, question: RankedList, depth: int, filters: Filters | None = None
    ) -> tuple[list[RankedPicture], bool]:
        """What a question finds, as it is shown, and whether there is no more."""
        without = self._sought.without
        filters = self._filters if filters is None else filters
        if question.vector is None or question.space_id is None:
            found = self._index.keyword(
                self._tenant, question.text, limit=depth, without=without, filters=filters
            )
        else:
            mine = question.mode != "keyword" and self._asked[question.mode] is question
            found = self._index.neighbours(
                self._tenant,
                question.space_id,
                question.vector,
                limit=depth,
                min_similarity=self._floors.get(question.mode, -1.0) if mine else -1.0,
                without=without,
                filters=filters,
            )
            if mine and question.mode != "keyword":
                self._cosines.update({(question.mode, n.image_id): n.similarity for n in found})
        shown = stand(
            self._cards,
            self._mended(question, found),
            filters,
            wanted=self._ask.filters.decision,
            space_id=question.space_id,
            collapse=self._ask.collapse,
        )
        return [one for one in shown if one.image_id not in without], len(found) < depth

    def _mended(self, question: RankedList, found: list[Neighbour]) -> list[Neighbour]:
        """The head of a text's list in a space, ordered anew in hybrid where there is a bank."""
        space_id = question.space_id
        wanted = (self._ask.mode, question.way) == ("hybrid", "text")
        bank = self._hubs(self._tenant, space_id) if self._hubs and wanted and space_id else None
        if bank is None or space_id is None:
            return found
        head = found[:HUBS_TOP]
        vectors = self._index.vectors(self._tenant, space_id, [one.image_id for one in head])
        order = without_hubs([one.similarity for one in head], vectors, bank)
        return [*(head[n] for n in order), *found[HUBS_TOP:]]

    def _chosen(self, lists: Sequence[list[RankedPicture]]) -> list[RankedHit]:
        """The best of all lists, in order, cut at the bounds, one a group, at most the limit."""
        questions = self._sought.questions
        weights = [WEIGHTS[one.mode, one.way] for one in questions]
        best: dict[str, tuple[float, RankedPicture]] = {}
        by: dict[str, list[Mode]] = {}
        for question, weight, shown in zip(questions, weights, lists, strict=True):
            for rank, one in enumerate(shown):
                worth = share(weight, rank)
                if one.image_id not in best or worth > best[one.image_id][0]:
                    best[one.image_id] = worth, one
                if question.mode not in by.setdefault(one.image_id, []):
                    by[one.image_id].append(question.mode)
        order = fuse(
            [
                (weight, [one.image_id for one in shown])
                for weight, shown in zip(weights, lists, strict=True)
            ]
        )
        stands = [best[image_id][1] for image_id in order]
        chosen: list[RankedHit] = []
        groups: set[str | None] = set()
        for one in self._reaching(stands):
            for group in self._groups(one):
                if self._ask.group_by is None or group not in groups:
                    groups.add(group)
                    chosen.append(RankedHit(one, tuple(by[one.image_id]), group))
            if len(chosen) >= self._ask.limit:
                break
        return chosen[: self._ask.limit]

    def _reaching(self, stands: list[RankedPicture]) -> list[RankedPicture]:
        """Of hybrid, those that reach a least cosine in one of the spaces named."""
        if self._ask.mode != "hybrid" or not self._floors:
            return stands
        floors = {kind: self._floors[kind] for kind in self._asked if kind in self._floors}
        for kind in floors:
            self._measure(kind, stands)
        return [
            one
            for one in stands
            if any(
                cosine is not None and cosine >= least
                for cosine, least in ((self._cosine(kind, one), floors[kind]) for kind in floors)
            )
        ]

    def _groups(self, stand: RankedPicture) -> tuple[str | None, ...]:
        by = self._ask.group_by
        one = self._cards[stand.image_id]
        if by is None or one is None:
            return (None,)
        if by == "tag":
            return one.tags
        value = getattr(one, by)
        return () if value is None else (value,)

    # --- cosines --------------------------------------------------------------------------------

    def _stored(self, kind: SpaceKind, one: RankedPicture) -> list[str]:
        """Records whose vector may be the hit's own, the likeliest first."""
        known = self._cards[one.image_id]
        original = one.image_id if known is None else known.original
        copies = [one.copy] if kind == "caption" and one.copy else []
        return list(dict.fromkeys([*copies, one.image_id, original]))

    def _measure(self, kind: SpaceKind, stands: Sequence[RankedPicture]) -> None:
        """Have the cosines of these, where they have vectors."""
        question = self._asked[kind]
        ids = dict.fromkeys(image_id for one in stands for image_id in self._stored(kind, one))
        fresh = [image_id for image_id in ids if (kind, image_id) not in self._cosines]
        if not fresh or question.vector is None or question.space_id is None:
            return
        vectors = self._index.vectors(self._tenant, question.space_id, fresh)
        for image_id, vector in zip(fresh, vectors, strict=True):
            cosine = None if vector is None else float(np.dot(question.vector, vector))
            self._cosines[kind, image_id] = cosine

    def _cosine(self, kind: SpaceKind, one: RankedPicture) -> float | None:
        found = (self._cosines.get((kind, image_id)) for image_id in self._stored(kind, one))
        return next((cosine for cosine in found if cosine is not None), None)

    # --- telling --------------------------------------------------------------------------------

    def _told(self, chosen: list[RankedHit]) -> list[FoundPicture]:
        records = self._overlay.records([one.stand.image_id for one in chosen])
        kept = [
            (one, record)
            for one, record in zip(chosen, records, strict=True)
            if record is not None  # deleted since the index was asked
        ]
        seen = joined_views.records(self._overlay, [record for _, record in kept])
        live = [
            (one, told) for (one, _), told in zip(kept, seen, strict=True) if self._still(one, told)
        ]
        for kind in self._asked:
            self._measure(kind, [one.stand for one, _ in live])
        return [self._found(one, told, rank) for rank, (one, told) in enumerate(live, 1)]

    def _still(self, one: RankedHit, seen: RecordView) -> bool:
        """Whether the record that is shown passes as it was read last."""
        filters = self._ask.filters
        copy = None if one.stand.copy is None else self._cards[one.stand.copy]
        if copy is not None:
            return shows(copy.decision, seen.record.state.decision.value, filters.decision)
        return passes(card(seen.record), filters) and joined_views.shown(seen, filters.decision)

    def _found(self, one: RankedHit, seen: RecordView, rank: int) -> FoundPicture:
        known = {kind: self._cosine(kind, one.stand) for kind in self._asked}
        cosines = {kind: cosine for kind, cosine in known.items() if cosine is not None}
        single = self._ask.mode in request.KINDS
        return FoundPicture(
            seen=seen,
            similarities={str(kind): cosine for kind, cosine in cosines.items()},
            distance=request.distance(self._ask, one.stand.similarity) if single else None,
            rank=rank,
            matched_by=one.matched_by,
            matched_copy_id=one.stand.copy,
            band=self._band(cosines),
            group=one.group,
        )

    def _band(self, similarities: dict[SpaceKind, float]) -> Band | None:
        words = [self._scaled(kind).word(value) for kind, value in similarities.items()]
        return min(words, key=get_args(Band).index, default=None)

    def _scaled(self, kind: SpaceKind) -> Bands:
        question = self._asked[kind]
        found = (
            self._scale(self._tenant, question.space_id or "", question.way)
            if self._scale
            else None
        )
        return found or DEFAULTS[kind, question.way]
