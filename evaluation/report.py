"""Results of an evaluation: plain numbers for JSON, and the pictures of false verdicts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

from msgspec import Struct
from PIL import Image

from core.types import Box, Evidence

_SHOWN = 256
"""Long side in pixels of a picture on a contact sheet."""


class Proportion(Struct, frozen=True):
    """Count of hits among a total."""

    found: int
    asked: int

    @property
    def value(self) -> float:
        """Return the share, 0 to 1; 1 of none."""
        return self.found / self.asked if self.asked else 1.0


class EditFound(Struct, frozen=True, kw_only=True):
    """Recall of one edit: the copies that were recognised as copies of their photo."""

    name: str
    title: str
    expected: float | None
    all: Proportion
    odd: Proportion
    """Recall on the photos to report on: those of an odd last hex digit."""
    even: Proportion
    """Recall on the photos to tune on."""
    candidate: Proportion
    """Share of all whose photo was among the candidates, the most that confirmation can reach."""
    by_hash: Proportion
    by_visual: Proportion
    by_features: Proportion
    missed: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Return whether the required recall is reached, on all photos and on the odd ones."""
        return self.expected is None or min(self.all.value, self.odd.value) >= self.expected


class CandidateCounts(Struct, frozen=True, kw_only=True):
    """Candidates of a picture of one set without itself: means over the set."""

    label: str
    pictures: int
    by_hash: float
    by_visual: float
    by_features: float
    together: float
    laid_over: float
    """Candidates that were worth an alignment."""
    most: int


class FalseConfirmation(Struct, frozen=True, kw_only=True):
    """Two pictures of one set, one of them confirmed as a copy of the other."""

    one: str
    other: str
    overlap: float | None
    inliers: int | None
    changed_share: float
    words: str
    known: bool
    """Whether they were listed beforehand as two copies of the same photo."""


class PairwiseErrors(Struct, frozen=True, kw_only=True):
    """False near_duplicates among pictures that are all different."""

    label: str
    way: str
    """Method: `pipeline` checks each as a re-encoding, `all pairs` aligns each with each."""
    pictures: int
    pairs: int
    confirmed: tuple[FalseConfirmation, ...]

    @property
    def false(self) -> int:
        """Count the pairs that were not listed beforehand."""
        return sum(not pair.known for pair in self.confirmed)


class TemplateErrors(Struct, frozen=True, kw_only=True):
    """Verdicts on different pictures of one template, by pairs and one after another."""

    kind: str
    pictures: int
    pairs: int
    unconfirmed: int
    changed: int
    """Pairs confirmed with changed regions, in either direction."""
    plain: int
    """Pairs confirmed without any changed region, as if they were the same."""
    regions: float
    """Changed regions of a confirmed pair, on average."""
    share: float
    """Share of the area that changed regions cover, on average."""
    verdicts: dict[str, int]
    decisions: dict[str, int]
    """Decisions when ingested one after another."""
    examples: tuple[tuple[Box, ...], ...]
    """Changed regions of the first few confirmed pairs."""


class DuplicatesReport(Struct, frozen=True, kw_only=True):
    """Complete result of an evaluation."""

    photos: int
    stored: int
    refused: dict[str, str]
    """Reasons by the files that were not stored."""
    copies: dict[str, str]
    """Originals by the photos that were ingested as copies."""
    model: str
    policy_version: str
    edits: tuple[EditFound, ...]
    looked: tuple[CandidateCounts, ...]
    pairs: tuple[PairwiseErrors, ...]
    templates: tuple[TemplateErrors, ...]
    seconds: float


class WrongPair(Struct, frozen=True, kw_only=True):
    """Two pictures of a false verdict, side by side."""

    label: str
    one: bytes
    other: bytes
    """JPEG, at most 256 pixels a side."""


def is_odd(name: str) -> bool:
    """Return whether the SHA-256 of a file's name ends in an odd hex digit."""
    return int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[-1], 16) % 2 == 1


def share(flags: Iterable[bool]) -> Proportion:
    """Count the true flags among all."""
    held = list(flags)
    return Proportion(sum(held), len(held))


def shown(image: Image.Image) -> bytes:
    """Encode a picture small enough for a contact sheet, as a JPEG."""
    small = image.convert("RGB")
    small.thumbnail((_SHOWN, _SHOWN))
    held = io.BytesIO()
    small.save(held, "JPEG", quality=85)
    return held.getvalue()


def confirmed(
    one: str, other: str, evidence: Evidence, known: frozenset[frozenset[str]]
) -> FalseConfirmation:
    """Report a confirmed pair; `known` lists the pairs that show the same photo."""
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
    """Report on all pairs of `count` pictures."""
    return PairwiseErrors(
        label=label,
        way=way,
        pictures=count,
        pairs=count * (count - 1) // 2,
        confirmed=tuple(found.values()),
    )


def mean(values: Iterable[float]) -> float:
    """Return the average to four digits, 0 of none."""
    held = list(values)
    return round(sum(held) / len(held), 4) if held else 0.0
