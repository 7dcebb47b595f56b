"""Similarities in words: the same cosine is close in one space and far in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from core.search.fusion import Way
from core.types import SpaceKind

Band = Literal["very close", "close", "related", "weak"]


class Bands(Struct, frozen=True, kw_only=True):
    """Minimum cosines of three bands, in descending order; below all of them is `weak`."""

    very_close: float
    close: float
    related: float

    def word(self, similarity: float) -> Band:
        """Return the band of a cosine."""
        if similarity >= self.very_close:
            return "very close"
        if similarity >= self.close:
            return "close"
        return "related" if similarity >= self.related else "weak"


DEFAULTS: Mapping[tuple[SpaceKind, Way], Bands] = {
    ("caption", "text"): Bands(very_close=0.65, close=0.45, related=0.3),
    ("caption", "picture"): Bands(very_close=0.8, close=0.6, related=0.4),
    ("visual", "picture"): Bands(very_close=0.92, close=0.82, related=0.7),
    ("visual", "text"): Bands(very_close=0.32, close=0.28, related=0.24),
}
"""Bands by space and kind of query, for sentence encoders like all-MiniLM-L6-v2 and CLIP models.

A query is shorter than a caption, so its cosine with one is lower than that of two captions. CLIP's
cosines between a text and pictures are low and close together (0.2 to 0.35), those between pictures
high (0.5 and more for any two photos). Other models differ: thresholds calibrated on a tenant's own
pictures take precedence.
"""
