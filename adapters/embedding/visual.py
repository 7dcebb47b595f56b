"""Embedder of pictures and texts in one space, by any dual encoder of transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from adapters.embedding import sample_images
from adapters.embedding.base import Device, Dtype, LazyModel, read, shape
from adapters.embedding.dual_encoder import DualEncoder
from adapters.embedding.space_id import digest, space_id
from core.types import Matrix, Space

if TYPE_CHECKING:
    import torch

SIMILAR_AT = 0.9
"""Least cosine of `similar` without a setting; docs/why.md has the measurement."""
BATCHES = {"cpu": 16, "mps": 32, "cuda": 128}
"""Pictures in one forward pass; on a CPU no more, so that a waiting check gets its turn."""
PREPROCESSING = 1
"""Version of the path from a preview to the model's input, and from its output to a unit vector;
raised when any number changes."""


class VisualEmbedder(LazyModel[DualEncoder]):
    """Port Embedder over a local folder or a hub id; created at once, loaded by `load`."""

    lack = (
        "NO VISUAL MODEL: %s. Hashes, features and geometry go on without it; "
        "search by picture or text does not."
    )
    batches = BATCHES

    def __init__(
        self,
        model: str,
        device: Device = "auto",
        dtype: Dtype = "auto",
        similar_at: float | None = None,
    ) -> None:
        super().__init__(model, device, dtype)
        self._similar_at = similar_at

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:
        """Embed as (n, d) float32 of unit length, in input order.

        Raise EmbedderUnavailableError.
        """
        return self._embed(images, lambda network, some: network.pre(some), urgent=urgent)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """Embed as (n, d) float32 of unit length, in input order, cut at the model's limit."""
        return self._embed(texts, DualEncoder.tokens, urgent=urgent)

    def _open(self, folder: Path) -> DualEncoder:
        return DualEncoder(folder, self._device)

    def _trial(self) -> list[dict[str, torch.Tensor]]:
        return [
            self._network.pre(sample_images.pictures()),
            self._network.tokens(sample_images.TEXTS),
        ]

    def _describe(self, folder: Path, tried: Sequence[Matrix]) -> Space:
        pictures = tried[0]
        named = space_id(
            "visual",
            **shape(folder),
            tokenizer=[digest(path) for path in sorted(folder.glob("*token*.json"))],
            preprocessing=[
                read(folder / "preprocessor_config.json"),
                read(folder / "processor_config.json"),
                PREPROCESSING,
            ],
            pooling="projected",
            template="{}",
            dimensions=pictures.shape[1],
        )
        return Space(
            space_id=named,
            kind="visual",
            model=self._title(folder),
            dimensions=pictures.shape[1],
            similar_at=_similar_at(pictures) if self._similar_at is None else self._similar_at,
        )

    def _running(self) -> dict[str, str]:
        """Return device, dtype and method of resizing."""
        return {
            **super()._running(),
            "resizing": "own" if self._network.pre.quick else "the model's",
        }


def _similar_at(pictures: Matrix) -> float:
    """Return 0.9, or more for a model that puts any two pictures close together.

    An untrained tower gives 0.92 and more to any pair: the threshold is then half-way between the
    median of our generated pictures, which are all different, and 1.
    """
    cosines = pictures @ pictures.T
    median = float(np.median(cosines[~np.eye(len(pictures), dtype=bool)]))
    return max(SIMILAR_AT, math.ceil(50 * (1 + median)) / 100)
