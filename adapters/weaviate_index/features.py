"""Local features as a source of candidates: what an anchor's object holds for it, and the question.

One text property holds a picture's words, each as a token; BM25 without regard to length finds
those with rare ones in common. What it finds is then measured by votes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.collections import Collection

from core.types import Features

_MOST = 400
"""Words of a picture that are asked for: 200 keypoints have two each."""

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


def stored(features: Features) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Properties and named vectors that an anchor's object has for its local features."""
    words = _tokens(features.words)
    return ({"words": " ".join(words)} if words else {}), {}


def ask(anchors: Collection[Any, Any], features: Features, limit: int) -> list[tuple[str, str]]:
    """(object id, image_id) of anchors that may be laid over it or its mirror image, best first."""
    found: dict[str, tuple[str, float]] = {}
    for way in (features.words, features.mirrored):
        words = _tokens(way)[:_MOST]
        if not words:
            continue
        answer = anchors.query.bm25(
            " ".join(words),
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


def _tokens(words: bytes) -> list[str]:
    return [f"{word:x}" for word in np.unique(np.frombuffer(words, np.uint32)).tolist()]
