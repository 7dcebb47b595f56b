"""Embedders with predictable vectors: texts are near by the share of their common words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from core.errors import EmbedderUnavailableError
from core.types import Matrix, Space, SpaceKind, Vector

DIMENSIONS = 256


class WordEmbedder:
    """Port Embedder: a text is the sum of its words, each a random direction of its own."""

    def __init__(self, kind: SpaceKind, absent: str | None = None) -> None:
        self.absent = absent
        self._space = Space(
            space_id=f"{kind}-0c0c0c0c",
            kind=kind,
            model=f"words for {kind}",
            dimensions=DIMENSIONS,
            similar_at=0.9,
        )

    @property
    def space(self) -> Space:
        """Return the space. Raise EmbedderUnavailableError."""
        if self.absent is not None:
            raise EmbedderUnavailableError(self.absent)
        return self._space

    def load(self) -> None:
        """Do nothing, as there is no model."""

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """Embed texts as (n, 256) float32."""
        del urgent
        return np.array([words(text) for text in texts], np.float32).reshape(-1, DIMENSIONS)

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:
        """Embed every picture as the empty word."""
        raise NotImplementedError


def words(text: str) -> Vector:
    """Return the unit vector of a text; an empty text is the empty word."""
    found = re.findall(r"\w+", text.lower()) or [""]
    total = np.sum([_direction(word) for word in found], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)


@lru_cache(maxsize=2_000)
def _direction(word: str) -> Vector:
    drawn = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSIONS)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


class Pair:
    """Registry of both embedders for every tenant."""

    def __init__(self, visual: WordEmbedder, caption: WordEmbedder) -> None:
        self._visual = visual
        self._caption = caption

    def visual(self, tenant: str) -> WordEmbedder:
        del tenant
        return self._visual

    def caption(self, tenant: str) -> WordEmbedder:
        del tenant
        return self._caption

    def space_id(self, tenant: str, kind: SpaceKind) -> str | None:
        embedder = self.visual(tenant) if kind == "visual" else self.caption(tenant)
        return None if embedder.absent is not None else embedder.space.space_id
