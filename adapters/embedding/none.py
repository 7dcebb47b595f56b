"""No model: what the service runs on when there are no weights to be had."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from core.errors import EmbedderUnavailableError
from core.types import Matrix, Space


class AbsentEmbedder:
    """Port Embedder that says why it cannot."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def space(self) -> Space:
        """Raise EmbedderUnavailableError."""
        raise EmbedderUnavailableError(self._reason)

    @property
    def absent(self) -> str:
        """Why there is no model."""
        return self._reason

    def load(self) -> None:
        """There is nothing to load."""

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError."""
        raise EmbedderUnavailableError(self._reason)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError."""
        raise EmbedderUnavailableError(self._reason)
