"""A registry of embedders, and of the spaces that each tenant uses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from core.errors import EmbedderUnavailableError
from core.lru_cache import LRUCache
from core.ports import Embedder, TextEmbedder
from core.types import SPACE_KINDS, ActiveSpaces, ChosenSpace, Space, SpaceKind

FRESH_SECONDS = 1.0
"""Seconds for which a tenant's spaces are cached; a picture that misses one is backfilled."""
TENANTS = 4_096
"""Maximum tenants whose spaces are cached."""

E = TypeVar("E", bound=TextEmbedder)


class OpensEmbedder(Protocol):
    """A factory of embedders that returns at once; their `load` is slow."""

    def visual(self, source: str) -> Embedder:
        """Return an embedder of pictures and texts."""

    def caption(self, source: str) -> TextEmbedder:
        """Return an embedder of texts."""


class ModelRegistry:
    """A registry of the embedders of each tenant's spaces.

    The spaces in a tenant's log take precedence over the settings; a model that the log names is
    loaded on first use.
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
        """Create a registry; `sources` are the models that `visual` and `caption` run."""
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
        """Load the models of the settings in parallel; failures are reported in `absent`."""
        texts = self._caption[self._sources["caption"]]
        beside = threading.Thread(target=texts.load, name="load captions", daemon=True)
        beside.start()
        self._visual[self._sources["visual"]].load()
        beside.join()

    def forget(self) -> None:
        """Drop the cached spaces of every tenant, so that the log is read again."""
        self._known.clear()

    # --- of a tenant ----------------------------------------------------------------------------

    def visual(self, tenant: str) -> Embedder:
        """Return the embedder of the active visual space, which may be `absent`."""
        standing = self._standings(tenant).get("visual")
        source = standing.active.source if standing else self._sources["visual"]
        return self._open(self._visual, source, self._opens.visual)

    def caption(self, tenant: str) -> TextEmbedder:
        """Return the embedder of the active caption space, which may be `absent`."""
        standing = self._standings(tenant).get("caption")
        source = standing.active.source if standing else self._sources["caption"]
        return self._open(self._caption, source, self._opens.caption)

    def visuals(self, tenant: str) -> list[Embedder]:
        """Return the embedders of all visual spaces of an upload, the active one first."""
        standing = self._standings(tenant).get("visual")
        added = [self.open_visual(one.source) for one in standing.added] if standing else []
        return [self.visual(tenant), *added]

    def captions(self, tenant: str) -> list[TextEmbedder]:
        """Return the embedders of all caption spaces of an upload, the active one first."""
        standing = self._standings(tenant).get("caption")
        added = [self.open_caption(one.source) for one in standing.added] if standing else []
        return [self.caption(tenant), *added]

    def space_id(self, tenant: str, kind: SpaceKind) -> str | None:
        """Return the active space's id; None if its model is absent and the log names none."""
        standing = self._standings(tenant).get(kind)
        if standing is not None:
            return standing.active.space.space_id
        embedder = self.visual(tenant) if kind == "visual" else self.caption(tenant)
        return None if embedder.absent is not None else embedder.space.space_id

    def spaces(self, tenant: str) -> list[str]:
        """Return the ids of all spaces that are searched or being filled."""
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
        """Return the embedder of a model; a new one is loaded in its own thread."""
        return self._open(self._visual, source, self._opens.visual)

    def open_caption(self, source: str) -> TextEmbedder:
        """Return the embedder of a model; a new one is loaded in its own thread."""
        return self._open(self._caption, source, self._opens.caption)

    def _open(self, held: dict[str, E], source: str, make: Callable[[str], E]) -> E:
        with self._lock:
            known = held.get(source)
            if known is None:
                known = held[source] = make(source)
                threading.Thread(target=known.load, name=f"load {source}", daemon=True).start()
        return known

    def chosen(self, tenant: str, kind: SpaceKind) -> ChosenSpace:
        """Return a tenant's active space and its model. Raise EmbedderUnavailableError."""
        standing = self._standings(tenant).get(kind)
        if standing is not None:
            return standing.active
        embedder = self.visual(tenant) if kind == "visual" else self.caption(tenant)
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent)
        return ChosenSpace(embedder.space, self._sources[kind])

    def of(self, space_id: str) -> Space | None:
        """Return a space whose model is loaded, None for any other."""
        for embedder in (*self._visual.values(), *self._caption.values()):
            if embedder.absent is None and embedder.space.space_id == space_id:
                return embedder.space
        return None
