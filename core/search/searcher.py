"""Search by keyword, by meaning, by example picture, and by all of them at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from msgspec.structs import replace

from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MissingError,
    SeenitError,
)
from core.filters import SHOWN
from core.lru_cache import LRUCache
from core.ports import Embedder, TextEmbedder
from core.queries.snapshot import Snapshot, Snapshots
from core.records import Record
from core.search import request
from core.search.execution import (
    FoundPicture,
    Hubs,
    QueryPlan,
    RankedList,
    Scale,
    SearchExecution,
    SearchResults,
)
from core.search.fusion import Mode, Way
from core.search.request import SearchRequest
from core.types import Absent, SpaceKind, Vector

__all__ = [
    "Embedders",
    "FoundPicture",
    "Hubs",
    "LoadsQueryPicture",
    "Scale",
    "SearchRequest",
    "SearchResults",
    "Searcher",
]


class Embedders(Protocol):
    """The embedders of a tenant's active spaces."""

    def visual(self, tenant: str) -> Embedder:
        """Return the embedder of the active visual space."""

    def caption(self, tenant: str) -> TextEmbedder:
        """Return the embedder of the active caption space."""

    def space_id(self, tenant: str, kind: SpaceKind) -> str | None:
        """Return the id of the active space, None if there is none."""


class LoadsQueryPicture(Protocol):
    """An embedder of pictures that are not stored, here or on a worker."""

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """Return the id of the active visual space, and the picture's (d,) vector there.

        Raise EmbedderUnavailableError, and an InputError for a bad file.
        """


REMEMBERED = 256
"""Texts whose vectors are cached: half a megabyte."""


class Searcher:
    """A search as of now: the index, overlaid with the log after its watermark.

    Records that the tail deleted are not found, those it changed must pass the filters as they are
    now, and those that are only in the tail are found once they are projected.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        embedders: Embedders,
        sight: LoadsQueryPicture,
        *,
        hubs: Hubs | None = None,
        scale: Scale | None = None,
    ) -> None:
        """Create a searcher; `hubs` gives banks against hubs, `scale` calibrated bands."""
        self._snapshots = snapshots
        self._embedders = embedders
        self._sight = sight
        self._hubs = hubs
        self._scale = scale
        self._read: LRUCache[tuple[str, str, str], Vector] = LRUCache(REMEMBERED)

    def read(self, tenant: str, kind: SpaceKind, text: str) -> tuple[str, Vector]:
        """Return the active space_id of a kind, and a text's (d,) vector in it.

        The last vectors are cached, as pages and prompts repeat a text. Each tenant has its own: a
        quick response would otherwise reveal another tenant's query. Raise
        EmbedderUnavailableError.
        """
        embedder = self._embedder(tenant, kind)
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent, field="mode")
        space_id = embedder.space.space_id
        known = self._read.get((tenant, space_id, text))
        if known is None:
            made = embedder.embed_texts([text], urgent=True)[0]
            known = self._read.put((tenant, space_id, text), np.asarray(made, np.float32))
        return space_id, known

    def see(self, tenant: str, data: bytes) -> Vector:
        """Return the (d,) visual vector of a picture without storing it.

        Raise EmbedderUnavailableError, and an InputError for a bad file.
        """
        space_id, vector = self._sight.see(tenant, data)
        if space_id != self.space_id(tenant, "visual"):
            raise EmbedderUnavailableError(
                "the active visual space changed during the search; retry", field="mode"
            )
        return vector

    def space_id(self, tenant: str, name: str) -> str:
        """Return the id of the active space that `visual`, `caption` or an id names.

        Raise EmbedderUnavailableError if there is none, ConflictError if it is another.
        """
        kind: SpaceKind = "caption" if name.partition("-")[0] == "caption" else "visual"
        active = self._active(tenant, kind, "space")
        if name not in (kind, active):
            raise ConflictError(
                f"space {name} is not active: use {kind} or {active}", field="space"
            )
        return active

    def search(self, tenant: str, ask: SearchRequest) -> SearchResults:
        """Return the best pictures for a request, with the decisions that its filters name.

        The request becomes one list for each mode (`_plan`); the lists are run, collapsed onto
        originals, fused, cut, grouped and joined with their records (`SearchExecution.results`).

        Raise MalformedError for a request that cannot be run, EmbedderUnavailableError for a mode
        whose model is absent, ConflictError for a space that is not active or a query picture
        without a vector, MissingError or GoneError for an unknown or deleted query picture.
        """
        request.check(ask)
        if not ask.filters.decision:
            ask = replace(ask, filters=ask.filters._replace(decision=SHOWN))
        if ask.space is not None:
            self.space_id(tenant, ask.space)
        snapshot = self._snapshots.take(tenant)
        plan = self._plan(snapshot, ask)
        execution = SearchExecution(snapshot, ask, plan, hubs=self._hubs, scale=self._scale)
        return execution.results()

    # --- planning -------------------------------------------------------------------------------

    def _plan(self, snapshot: Snapshot, ask: SearchRequest) -> QueryPlan:
        """Return the lists that can be run, and for hybrid the missing modes with reasons."""
        own = None if ask.image_id is None else self._record(snapshot, ask.image_id)
        lists: list[RankedList] = []
        refused: list[tuple[Mode, SeenitError]] = []
        for mode, way in _ways(ask):
            try:
                lists += self._lists(snapshot, ask, mode, way, own)
            except (EmbedderUnavailableError, ConflictError) as error:
                refused.append((mode, error))
        if not lists:
            raise refused[0][1]
        used = {one.mode for one in lists}
        missing = {mode: Absent.of(mode, why.detail) for mode, why in refused if mode not in used}
        without = set() if own is None else {own.state.image_id, own.state.original}
        return QueryPlan(
            lists=tuple(lists), missing=tuple(missing.values()), without=tuple(sorted(without))
        )

    def _lists(
        self, snapshot: Snapshot, ask: SearchRequest, mode: Mode, way: Way, own: Record | None
    ) -> list[RankedList]:
        """Return the lists of one mode: two for a sent picture together with a stored one."""
        if mode == "keyword":
            return [RankedList(mode=mode, way=way, text=ask.text or "")]
        tenant = snapshot.tenant
        if way == "text":
            space_id, vector = self.read(tenant, mode, ask.text or "")
            vectors = [vector]
        else:
            space_id = self._active(tenant, mode, "mode")
            vectors = [] if ask.vector is None or mode == "caption" else [ask.vector]
            if own is not None:
                vectors.append(self._stored(snapshot, own, space_id, mode))
        return [
            RankedList(mode=mode, way=way, space_id=space_id, vector=np.asarray(vector, np.float32))
            for vector in vectors
        ]

    def _stored(self, snapshot: Snapshot, own: Record, space_id: str, kind: SpaceKind) -> Vector:
        """Return a stored query picture's vector; a copy has no caption of its original."""
        image_id = own.state.image_id
        found = snapshot.vector_of(own, space_id)
        if found is None or (kind == "caption" and found.image_id != image_id):
            raise ConflictError(
                f"picture {image_id} has no vector in the space {space_id}", field="image_id"
            )
        return found.vector

    def _record(self, snapshot: Snapshot, image_id: str) -> Record:
        record = snapshot.records([image_id])[0]
        if record is not None:
            return record
        if snapshot.gone([image_id]):
            raise GoneError(f"picture {image_id} was deleted", field="image_id")
        raise MissingError(f"there is no picture {image_id}", field="image_id")

    def _active(self, tenant: str, kind: SpaceKind, field: str) -> str:
        active = self._embedders.space_id(tenant, kind)
        if active is None:
            reason = self._embedder(tenant, kind).absent or f"there is no {kind} model"
            raise EmbedderUnavailableError(reason, field=field)
        return active

    def _embedder(self, tenant: str, kind: SpaceKind) -> TextEmbedder:
        embedders = self._embedders
        return embedders.visual(tenant) if kind == "visual" else embedders.caption(tenant)


def _ways(ask: SearchRequest) -> list[tuple[Mode, Way]]:
    """Return the modes that a request searches, each with its kind of query."""
    ways: list[tuple[Mode, Way]] = []
    if ask.vector is not None or ask.image_id is not None:
        ways.append(("visual", "picture"))
    if ask.image_id is not None:
        ways.append(("caption", "picture"))
    if ask.text and ask.text.strip():
        ways += [("visual", "text"), ("caption", "text"), ("keyword", "text")]
    return [(mode, way) for mode, way in ways if ask.mode in ("hybrid", mode)]
