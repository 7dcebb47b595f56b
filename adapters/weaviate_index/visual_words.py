"""Local features as a source of candidates: what an anchor's object holds for it, and the question.

One text property holds a picture's words, each as a token; BM25 without regard to length finds
those with the rarest in common. What it finds is then measured by votes. Common words are most of a
look-up's work: only a small tenant is asked for them, so that it finds what an exact table finds
(docs/why.md).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.classes.query import Filter
from weaviate.collections import Collection

from core.fingerprint.word_rarity import COMMON, EMPTY, rare
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

_LETTERS = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", np.uint8
)
_LENGTH = 5
"""Letters of a token, 6 bits each: words have 25."""
SMALL = 20_000
"""Anchors up to which common words are asked for as well: to ask these of so many takes as long as
to ask the rare ones of three times as many."""
_RECOUNTED = 60.0
"""Seconds after which a small tenant is counted again; one that has grown is not."""


def stored(features: Features) -> dict[str, str]:
    """Properties that an anchor's object has for its local features."""
    words = tokens(rare(features.words, EMPTY))
    return {"words": words} if words else {}


class VisualWordSource:
    """The words of one generation's anchors, asked; of its tenants it knows which are small."""

    def __init__(self) -> None:
        self._grown: set[str | None] = set()
        self._counted: dict[str | None, float] = {}
        """By tenant, when it was last found small."""

    def ask(
        self, anchors: Collection[Any, Any], features: Features, limit: int
    ) -> list[tuple[str, str]]:
        """(object id, image_id) of what may be laid over it or its mirror image, best first."""
        found: dict[str, tuple[str, float]] = {}
        below = EMPTY if self._is_small(anchors) else COMMON
        for way in (features.words, features.mirrored):
            words = tokens(rare(way, below))
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

    def _is_small(self, anchors: Collection[Any, Any]) -> bool:
        """Whether there are few; a count takes 1 ms for each 20,000, so a large one has one."""
        tenant = anchors.tenant
        if tenant in self._grown:
            return False
        if time.monotonic() - self._counted.get(tenant, -_RECOUNTED) < _RECOUNTED:
            return True
        # for a count without a filter Weaviate asks every replica, and waits for one that is away
        every = Filter.by_property("image_id").not_equal("nobody")
        told = anchors.aggregate.over_all(filters=every, total_count=True)
        if (told.total_count or 0) > SMALL:
            self._grown.add(tenant)
            return False
        self._counted[tenant] = time.monotonic()
        return True


def tokens(words: NDArray[np.uint32]) -> str:
    """(n,) words as text, a token each: short ones, for all of them are stored."""
    places = 6 * np.arange(_LENGTH - 1, -1, -1, dtype=np.uint32)
    made = np.full((len(words), _LENGTH + 1), ord(" "), np.uint8)
    made[:, :_LENGTH] = _LETTERS[words[:, None] >> places & 63]
    return made.tobytes().decode().rstrip()
