"""A similarity in words: the same cosine is close in one space and far in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from core.search.fusion import Way
from core.types import SpaceKind

Band = Literal["very close", "close", "related", "weak"]


class Bands(Struct, frozen=True, kw_only=True):
    """Least cosines of three bands, each below the one before; what is under all is weak."""

    very_close: float
    close: float
    related: float

    def word(self, similarity: float) -> Band:
        """The band of a cosine."""
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
"""By space and what asks, for sentence encoders like all-MiniLM-L6-v2 and CLIP models.

A question is shorter than what was written of a picture, so it lies further from it than two such
texts do from each other. CLIP's cosines between a text and pictures lie low and close together
(0.2 to 0.35), those between pictures high (0.5 and more for any two photos). Another model has
others: thresholds calibrated on a tenant's own pictures go before these.
"""
