"""Embedder with predictable vectors: the colours of a picture by position."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from adapters.embedding.space_id import space_id
from core.types import Matrix, Space

SIDE = 4
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "orange": (255, 128, 0),
}
DIMENSIONS = SIDE * SIDE * 3 + 1
SIMILAR_AT = 0.98


class ToyEmbedder:
    """Port Embedder without a model.

    A vector is the mean colour of each field of a 4 x 4 grid, row by row, each channel mapped from
    0..255 to -1..1, then a 1, all to unit length. A text is the flat picture of the mean of the
    colours it names, grey if it names none.
    """

    @property
    def space(self) -> Space:
        """Return a space of 49 dimensions."""
        return Space(
            space_id=space_id("visual", model="toy", side=SIDE),
            kind="visual",
            model="toy",
            dimensions=DIMENSIONS,
            similar_at=SIMILAR_AT,
        )

    @property
    def absent(self) -> None:
        """Return None: the embedder is always available."""
        return

    def load(self) -> None:
        """Do nothing, as there is no model."""

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Embed pictures as (n, 49) float32, in input order."""
        fields = [
            np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
            for image in images
        ]
        return _unit(np.array(fields, np.float32).reshape(len(images), SIDE * SIDE * 3))

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Embed texts as (n, 49) float32, in input order."""
        named = [_colour(text) for text in texts]
        flat = np.array(named, np.float32).reshape(len(texts), 3)
        return _unit(np.tile(flat, SIDE * SIDE))


def _colour(text: str) -> tuple[float, float, float]:
    words = re.findall("[a-z]+", text.lower())
    named = [COLOURS[word] for word in words if word in COLOURS] or [COLOURS["grey"]]
    red, green, blue = np.mean(named, axis=0)
    return float(red), float(green), float(blue)


def _unit(fields: Matrix) -> Matrix:
    raw = np.pad(fields / 127.5 - 1, ((0, 0), (0, 1)), constant_values=1)
    unit: Matrix = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return unit
