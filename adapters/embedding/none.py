"""Embedder of a service without a model."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from core.errors import EmbedderUnavailableError
from core.types import Matrix, Space


class AbsentEmbedder:
    """Port Embedder that raises the reason of its absence."""

    def __init__(self, reason: str) -> None:
        self.absent = reason

    @property
    def space(self) -> Space:
        """Raise EmbedderUnavailableError with the reason."""
        raise EmbedderUnavailableError(self.absent)

    def load(self) -> None:
        """Do nothing, as there is no model."""

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError with the reason."""
        raise EmbedderUnavailableError(self.absent)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError with the reason."""
        raise EmbedderUnavailableError(self.absent)
