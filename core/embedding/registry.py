"""The embedders at hand, and which of them serve a tenant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from core.errors import EmbedderUnavailableError
from core.lru_cache import LRUCache
from core.ports import Embedder, TextEmbedder
from core.types import SPACE_KINDS, ActiveSpaces, ChosenSpace, Space, SpaceKind

FRESH_SECONDS = 1.0
"""For so long the log is not asked again: a picture that misses a space meanwhile is backfilled."""
TENANTS = 4_096
"""Tenants that this is remembered of."""

E = TypeVar("E", bound=TextEmbedder)


class OpensEmbedder(Protocol):
    """Makes embedders, in no time; their `load` takes its time."""

    def visual(self, source: str) -> Embedder:
        """Of pictures and texts."""

    def caption(self, source: str) -> TextEmbedder:
        """Of texts alone."""


class ModelRegistry:
    """Which embedder makes, and asks, the spaces of a tenant.

    What the log says of a tenant's spaces goes before the settings; a model that it names is
    loaded when first asked for.
    """

    def __init__(
        self,
        *,
        visual: Embedder,
        caption: TextEmbedder,
        sources: Mapping[SpaceKind, str],
        standings: Callable[[str], Mapping[SpaceKind, ActiveSpaces]],
        opens: OpensEmbedder,
    ) -> None:
        """`sources` are the models of the settings, by which `visual` and `caption` were made."""
        self._visual = {sources["visual"]: visual}
        self._caption = {sources["caption"]: caption}
        self._sources = dict(sources)
        self._ask = standings
        self._known: LRUCache[str, Mapping[SpaceKind, ActiveSpaces]] = LRUCache(
            TENANTS, seconds=FRESH_SECONDS
        )
        self._opens = opens
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load the models of the settings, side by side; what goes wrong is in their `absent`."""
        texts = self._caption[self._sources["caption"]]
        beside = threading.Thread(target=texts.load, name="load captions", daemon=True)
        beside.start()
        self._visual[self._sources["visual"]].load()
        beside.join()

    def forget(self) -> None:
        """Ask the log anew what it says of every tenant's spaces."""
        self._known.clear()

    # --- of a tenant ----------------------------------------------------------------------------

    def visual(self, tenant: str) -> Embedder:
        """Of the active visual space; `absent` says why there is none."""
        standing = self._standings(tenant).get("visual")
        return self.open_visual(standing.active.source if standing else self._sources["visual"])

    def caption(self, tenant: str) -> TextEmbedder:
        """Of the active caption space; `absent` says why there is none."""
        standing = self._standings(tenant).get("caption")
        return self.open_caption(standing.active.source if standing else self._sources["caption"])

    def visuals(self, tenant: str) -> list[Embedder]:
        """Of every visual space that an upload gets a vector in, the active one first."""
        standing = self._standings(tenant).get("visual")
        added = [self.open_visual(one.source) for one in standing.added] if standing else []
        return [self.visual(tenant), *added]

    def captions(self, tenant: str) -> list[TextEmbedder]:
        """Of every caption space that a text gets a vector in, the active one first."""
        standing = self._standings(tenant).get("caption")
        added = [self.open_caption(one.source) for one in standing.added] if standing else []
        return [self.caption(tenant), *added]

    def space_id(self, tenant: str, kind: SpaceKind) -> str | None:
        """Of the active space; None where its model is absent and the log names none."""
        standing = self._standings(tenant).get(kind)
        if standing is not None:
            return standing.active.space.space_id
        embedder = self.visual(tenant) if kind == "visual" else self.caption(tenant)
        return None if embedder.absent is not None else embedder.space.space_id

    def spaces(self, tenant: str) -> list[str]:
        """Ids of all that are asked or being filled."""
        found: list[str] = []
        standings = self._standings(tenant)
        for kind in SPACE_KINDS:
            active = self.space_id(tenant, kind)
            found += [active] if active else []
            standing = standings.get(kind)
            found += [one.space.space_id for one in standing.added] if standing else []
        return found

    def _standings(self, tenant: str) -> Mapping[SpaceKind, ActiveSpaces]:
        known = self._known.get(tenant)
        return self._known.put(tenant, self._ask(tenant)) if known is None else known

    # --- of any ---------------------------------------------------------------------------------

    def open_visual(self, source: str) -> Embedder:
        """Return the embedder of a model, made if need be and loaded in a thread of its own."""
        return self._open(self._visual, source, self._opens.visual)

    def open_caption(self, source: str) -> TextEmbedder:
        """Return the embedder of a model, made if need be and loaded in a thread of its own."""
        return self._open(self._caption, source, self._opens.caption)

    def _open(self, held: dict[str, E], source: str, make: Callable[[str], E]) -> E:
        with self._lock:
            known = held.get(source)
            if known is None:
                known = held[source] = make(source)
                threading.Thread(target=known.load, name=f"load {source}", daemon=True).start()
        return known

    def chosen(self, tenant: str, kind: SpaceKind) -> ChosenSpace:
        """The active space of a tenant and its model. Raise EmbedderUnavailableError."""
        standing = self._standings(tenant).get(kind)
        if standing is not None:
            return standing.active
        embedder = self.visual(tenant) if kind == "visual" else self.caption(tenant)
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent)
        return ChosenSpace(embedder.space, self._sources[kind])

    def of(self, space_id: str) -> Space | None:
        """A space whose model is loaded."""
        for embedder in (*self._visual.values(), *self._caption.values()):
            if embedder.absent is None and embedder.space.space_id == space_id:
                return embedder.space
        return None
