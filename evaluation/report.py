"""What an evaluation found: plain numbers for JSON, and the pictures of what went wrong."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

from msgspec import Struct
from PIL import Image

from core.types import Box, Evidence

_SHOWN = 256
"""Long side in pixels of what goes onto a contact sheet."""


class Proportion(Struct, frozen=True):
    """So many of so many."""

    found: int
    asked: int

    @property
    def value(self) -> float:
        """0 to 1; 1 of none."""
        return self.found / self.asked if self.asked else 1.0


class EditFound(Struct, frozen=True, kw_only=True):
    """How many edited photos were told to be copies of the photo they were made of."""

    name: str
    title: str
    expected: float | None
    all: Proportion
    odd: Proportion
    """Photos to report on: those of an odd last hex digit."""
    even: Proportion
    """Photos to tune on."""
    candidate: Proportion
    """Of all, those whose photo was among the candidates: what confirmation got to see."""
    by_hash: Proportion
    by_visual: Proportion
    by_features: Proportion
    missed: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Whether as many were found as are asked for, of all and of the odd ones."""
        return self.expected is None or min(self.all.value, self.odd.value) >= self.expected


class CandidateCounts(Struct, frozen=True, kw_only=True):
    """Candidates of a picture of one set, itself left out: means over the set."""

    label: str
    pictures: int
    by_hash: float
    by_visual: float
    by_features: float
    together: float
    laid_over: float
    """Those that were worth an alignment."""
    most: int


class FalseConfirmation(Struct, frozen=True, kw_only=True):
    """Two pictures of one set of which one was confirmed as a copy of the other."""

    one: str
    other: str
    overlap: float | None
    inliers: int | None
    changed_share: float
    words: str
    known: bool
    """Whether they were named beforehand as two copies of the same photo."""


class PairwiseErrors(Struct, frozen=True, kw_only=True):
    """False near_duplicates among pictures that are all different."""

    label: str
    way: str
    """`pipeline`: each checked as a re-encoding; `all pairs`: laid over each other regardless."""
    pictures: int
    pairs: int
    confirmed: tuple[FalseConfirmation, ...]

    @property
    def false(self) -> int:
        """Pairs that were not named beforehand."""
        return sum(not pair.known for pair in self.confirmed)


class TemplateErrors(Struct, frozen=True, kw_only=True):
    """What different pictures of one template were called, by pairs and one after another."""

    kind: str
    pictures: int
    pairs: int
    unconfirmed: int
    changed: int
    """Pairs confirmed with changed regions, in either direction."""
    plain: int
    """Pairs confirmed without any: nothing told them apart."""
    regions: float
    """Changed regions of a confirmed pair, on average."""
    share: float
    """Of the area that they cover, on average."""
    verdicts: dict[str, int]
    decisions: dict[str, int]
    """Of one after another being taken in."""
    examples: tuple[tuple[Box, ...], ...]
    """The changed regions of the first few confirmed pairs."""


class DuplicatesReport(Struct, frozen=True, kw_only=True):
    """All of it."""

    photos: int
    stored: int
    refused: dict[str, str]
    """Files that were not stored, and why."""
    copies: dict[str, str]
    """Photos that were told to be copies of another when they came in, and of which."""
    model: str
    policy_version: str
    edits: tuple[EditFound, ...]
    looked: tuple[CandidateCounts, ...]
    pairs: tuple[PairwiseErrors, ...]
    templates: tuple[TemplateErrors, ...]
    seconds: float


class WrongPair(Struct, frozen=True, kw_only=True):
    """Two pictures side by side that were called wrongly."""

    label: str
    one: bytes
    other: bytes
    """JPEG, at most 256 pixels a side."""


def is_odd(name: str) -> bool:
    """Whether the SHA-256 of a file's name ends in an odd hex digit."""
    return int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[-1], 16) % 2 == 1


def share(flags: Iterable[bool]) -> Proportion:
    """Count what is true."""
    held = list(flags)
    return Proportion(sum(held), len(held))


def shown(image: Image.Image) -> bytes:
    """Make a picture small enough for a contact sheet: a JPEG."""
    small = image.convert("RGB")
    small.thumbnail((_SHOWN, _SHOWN))
    held = io.BytesIO()
    small.save(held, "JPEG", quality=85)
    return held.getvalue()


def confirmed(
    one: str, other: str, evidence: Evidence, known: frozenset[frozenset[str]]
) -> FalseConfirmation:
    """Tell of a pair that was confirmed; `known` names the pairs that show the same photo."""
    return FalseConfirmation(
        one=one,
        other=other,
        overlap=evidence.overlap,
        inliers=evidence.inliers,
        changed_share=evidence.changed_share,
        words=evidence.words,
        known=frozenset((one, other)) in known,
    )


def paired(
    label: str, way: str, count: int, found: dict[frozenset[str], FalseConfirmation]
) -> PairwiseErrors:
    """Tell of all pairs of `count` pictures."""
    return PairwiseErrors(
        label=label,
        way=way,
        pictures=count,
        pairs=count * (count - 1) // 2,
        confirmed=tuple(found.values()),
    )


def mean(values: Iterable[float]) -> float:
    """Average to four digits, 0 of none."""
    held = list(values)
    return round(sum(held) / len(held), 4) if held else 0.0
