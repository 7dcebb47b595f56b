"""Predictable embedder of texts, and a decoder without child processes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.errors import SeenitError
from core.fingerprint.fingerprint import fingerprint
from core.records import Fields, caption
from core.types import Canonical, Fingerprint, Limits, Matrix, Space, Vector

CONCEPTS = (
    ("dog", "retriever", "puppy", "labrador"),
    ("cat", "kitten", "tabby"),
    ("mountain", "peak", "hiking", "trail"),
    ("car", "motorcycle", "vehicle"),
    ("beach", "sea", "tropical"),
    ("city", "street", "skyline"),
    ("red", "crimson"),
    ("sunny", "sunset", "sunrise"),
)


class ToyCaptions:
    """Port TextEmbedder without a model: counts of eight concepts in a text, and a 1."""

    def __init__(self) -> None:
        self.absent: str | None = None
        self.space = Space(
            space_id="caption-70707070",
            kind="caption",
            model="toy",
            dimensions=len(CONCEPTS) + 1,
            similar_at=0.9,
        )

    def load(self) -> None:
        """Do nothing, as there is no model."""

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Embed texts as (n, 9) float32, in input order."""
        counts = np.array([[*_counts(text), 0.3] for text in texts], np.float32)
        unit: Matrix = (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def of(self, fields: Fields) -> Vector:
        """Return the vector of a record with these fields."""
        return np.asarray(self.embed_texts([caption(fields)])[0], np.float32)


def _counts(text: str) -> list[int]:
    words = re.findall("[a-z]+", text.lower())
    return [sum(word in concept for word in words) for concept in CONCEPTS]


class Decoder:
    """Port Decoder in this process."""

    def fingerprint(
        self,
        items: Sequence[bytes],
        *,
        urgent: bool = False,  # noqa: ARG002 - the port's
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """Fingerprint each picture, in input order."""
        return [self._one(item) for item in items]

    def _one(self, item: bytes) -> tuple[Canonical, Fingerprint] | SeenitError:
        try:
            return fingerprint(item, Limits())
        except SeenitError as error:
            return error
