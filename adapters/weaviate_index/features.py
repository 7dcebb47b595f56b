"""Local features as a source of candidates: what an anchor's object holds for it, and the question.

One text property holds a picture's rare words, each as a token; BM25 without regard to length finds
those with the rarest in common. What it finds is then measured by votes. Common words are neither
stored nor asked for: they are most of a look-up's work and find next to nothing (docs/why.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.collections import Collection

from core.rarity import rare
from core.types import Features

PROPERTIES = [
    Property(
        name="words",
        data_type=DataType.TEXT,
        tokenization=Tokenization.WHITESPACE,
        index_filterable=False,
        index_searchable=True,
    )
]
"""Of an anchor's object."""
VECTORS: list[Any] = []
"""Named vectors of an anchor's object, besides that of its hash."""

_LETTERS = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", np.uint8
)
_LENGTH = 5
"""Letters of a token, 6 bits each: words have 25."""


def stored(features: Features) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Properties and named vectors that an anchor's object has for its local features."""
    words = tokens(rare(features.words))
    return ({"words": words} if words else {}), {}


def ask(anchors: Collection[Any, Any], features: Features, limit: int) -> list[tuple[str, str]]:
    """(object id, image_id) of anchors that may be laid over it or its mirror image, best first."""
    found: dict[str, tuple[str, float]] = {}
    for way in (features.words, features.mirrored):
        words = tokens(rare(way))
        if not words:
            continue
        answer = anchors.query.bm25(
            words,
            query_properties=["words"],
            limit=limit,
            return_properties=["image_id"],
            return_metadata=["score"],
        )
        for one in answer.objects:
            score = one.metadata.score or 0.0
            if score > found.get(str(one.uuid), ("", 0.0))[1]:
                found[str(one.uuid)] = str(one.properties["image_id"]), score
    best = sorted(found, key=lambda uuid: -found[uuid][1])[:limit]
    return [(uuid, found[uuid][0]) for uuid in best]


def tokens(words: NDArray[np.uint32]) -> str:
    """(n,) words as text, a token each: short ones, for all of them are stored."""
    places = 6 * np.arange(_LENGTH - 1, -1, -1, dtype=np.uint32)
    made = np.full((len(words), _LENGTH + 1), ord(" "), np.uint8)
    made[:, :_LENGTH] = _LETTERS[words[:, None] >> places & 63]
    return made.tobytes().decode().rstrip()
