"""Plan of one evaluation of the duplicate check."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from evaluation.edits import EDITS
from evaluation.families import COMPARED
from evaluation.labelled_pairs import Pair
from evaluation.synthetic_templates import TEMPLATES


class DuplicatesPlan(Struct, frozen=True, kw_only=True):
    """Files to evaluate on, and the measurements to make."""

    photos: tuple[Path, ...]
    distractors: tuple[Path, ...] = ()
    lookalikes: tuple[Path, ...] = ()
    known: frozenset[frozenset[str]] = frozenset()
    """Pairs of file names that are known to show the same photo."""
    edits: tuple[str, ...] = tuple(EDITS)
    all_pairs: bool = False
    families: tuple[str, ...] = tuple(TEMPLATES)
    """Names of generated families."""
    instances: int = COMPARED
    """Instances of each family to ingest; the first 12 are compared each with each."""
    order: int = 0
    """Seed of the order in which instances are ingested; 0: that of their own seeds."""
    labelled: tuple[Pair, ...] = ()
    banned: int = 0
    """Photos to ban before, and as many after their copies are uploaded."""
    processes: int = 1
