"""Candidates by visual words: the property of an anchor's object, and its query.

One text property holds a picture's words as tokens; BM25 without length weight finds the pictures
that share the rarest words, which are then ranked by votes. Common words are most of a query's
work: only small tenants are queried for them, and so match an exact table (docs/why.md).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.classes.query import Filter
from weaviate.collections import Collection

from core.fingerprint.sketches import query_sketches, terms
from core.fingerprint.word_rarity import COMMON, EMPTY, commonness, rare
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
"""Properties of an anchor's object."""

_LETTERS = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", np.uint8
)
_LENGTH = 5
"""Letters of a token, 6 bits each; a word has 25 bits."""
SMALL = 20_000
"""Anchors up to which common words are queried as well: that takes as long as querying rare words
among three times as many."""
_RECOUNTED = 60.0
"""Seconds after which a small tenant is counted again; a large one is not."""


def stored(features: Features) -> dict[str, str]:
    """Return the properties of an anchor's object for its local features."""
    words = tokens(rare(features.words, EMPTY))
    return {"words": words} if words else {}


class VisualWordSource:
    """Queries of the visual words of one generation, which cache the sizes of tenants."""

    def __init__(self) -> None:
        self._grown: set[str | None] = set()
        self._counted: dict[str | None, float] = {}
        """Time at which each tenant was last counted as small."""

    def ask(
        self, anchors: Collection[Any, Any], features: Features, limit: int
    ) -> list[tuple[str, str]]:
        """Return (object id, image_id) of anchors like a picture, best first.

        Its mirror image and its negatives are queried too, and in a small tenant the neighbours
        of every word, unless they are common.
        """
        found: dict[str, tuple[str, float]] = {}
        small = self._is_small(anchors)
        for way in query_sketches(features):
            own = np.unique(terms(way.sketch.codes))
            asked = way.words if small else own
            common = commonness(asked)
            words = tokens(
                asked[(common < COMMON) | (small & (common < EMPTY) & np.isin(asked, own))]
            )
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
        """Return whether a tenant has few anchors; a count takes 1 ms for each 20,000."""
        tenant = anchors.tenant
        if tenant in self._grown:
            return False
        if time.monotonic() - self._counted.get(tenant, -_RECOUNTED) < _RECOUNTED:
            return True
        # a count without a filter waits for every replica, also for one that is down
        every = Filter.by_property("image_id").not_equal("nobody")
        told = anchors.aggregate.over_all(filters=every, total_count=True)
        if (told.total_count or 0) > SMALL:
            self._grown.add(tenant)
            return False
        self._counted[tenant] = time.monotonic()
        return True


def tokens(words: NDArray[np.uint32]) -> str:
    """Return (n,) words as text of one short token each, separated by blanks."""
    places = 6 * np.arange(_LENGTH - 1, -1, -1, dtype=np.uint32)
    made = np.full((len(words), _LENGTH + 1), ord(" "), np.uint8)
    made[:, :_LENGTH] = _LETTERS[words[:, None] >> places & 63]
    return made.tobytes().decode().rstrip()
