"""Votes of one picture for another, without an index."""

from __future__ import annotations

from core.fingerprint.sketches import query_sketches, sketch
from core.matching.hough_voting import Ballot, ballot
from core.types import Features


def votes(query: Features, candidate: Features) -> Ballot:
    """Count what agrees on one scale, turn and shift, in the best way of the query."""
    return ballot(query_sketches(query), sketch(candidate))
