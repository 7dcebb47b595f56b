"""The embedders at hand, and which of them serve a tenant."""

from __future__ import annotations

from core.ports import Embedder, TextEmbedder


class Models:
    """Answers which embedder makes and asks a tenant's active space of each kind."""

    def __init__(self, visual: Embedder, caption: TextEmbedder) -> None:
        self._visual = visual
        self._caption = caption

    def visual(self, tenant: str) -> Embedder:  # noqa: ARG002 - every tenant has the same so far
        """Of the active visual space; `absent` says why there is none."""
        return self._visual

    def caption(self, tenant: str) -> TextEmbedder:  # noqa: ARG002 - likewise
        """Of the active caption space; `absent` says why there is none."""
        return self._caption
