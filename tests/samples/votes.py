"""Votes of one picture for another, without an index."""

from __future__ import annotations

from core.fingerprint.visual_words import reflected, sketch
from core.matching.hough_voting import ballot
from core.types import Features


def votes(query: Features, candidate: Features) -> tuple[int, bool]:
    """Count what agrees on one scale, turn and shift, and say whether the query is mirrored."""
    return ballot((sketch(query), reflected(query)), sketch(candidate))
