"""Results of an evaluation: plain numbers for JSON, and the pictures of false verdicts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from PIL import Image

from core.evidence import Box, Evidence, StatementCode
from core.types import Kind

_SHOWN = 256
"""Long side in pixels of a picture on a contact sheet."""


Label = Literal["copy", "variant", "different"]
"""Relation of two pictures, as a person sees it."""
LABELS: tuple[Label, ...] = ("copy", "variant", "different")


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


class StatementTruth(Struct, frozen=True, kw_only=True):
    """Statements of one code on recognised copies, judged against the truth of their edits."""

    code: StatementCode
    true: Proportion
    """True statements among those made."""
    named: Proportion
    """Changes of this code that a statement names, among those made to the photos."""
    false: tuple[str, ...]
    """Some of the false ones, at most 20: edit, photo and statement."""
    silent: tuple[str, ...]
    """Some of the changes that no statement names, at most 20: edit and photo."""


class RegionTruth(Struct, frozen=True, kw_only=True):
    """Changed regions of recognised copies against those of their edits."""

    true: Proportion
    """Regions that lie on a true change, for 30 % of their box at least."""
    shown: Proportion
    """True changes of which regions cover 30 % at least."""


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
    """Method: `pipeline` checks each as a re-encoding, `all pairs` aligns each with each, and
    `proposed` counts the other photos that the candidates of edited ones name."""
    pictures: int
    pairs: int
    confirmed: tuple[FalseConfirmation, ...]

    @property
    def false(self) -> int:
        """Count the pairs that were not listed beforehand."""
        return sum(not pair.known for pair in self.confirmed)


class TemplateErrors(Struct, frozen=True, kw_only=True):
    """Verdicts on the instances of one family, by pairs and one after another."""

    kind: str
    """Name of the family."""
    right: tuple[Kind, ...]
    """Kinds of verdict that are right for two instances."""
    pictures: int
    """Instances that were ingested."""
    pairs: int
    """Pairs of the first few instances that were compared without candidate search."""
    unconfirmed: int
    """Pairs of those not called copies."""
    variants: int
    """Pairs of those called variants."""
    changed: int
    """Pairs confirmed with changed regions, in either direction."""
    plain: int
    """Pairs confirmed without any changed region, as if they were the same."""
    false: int
    """Pairs with a wrong verdict: called copies by the comparison or as they were ingested, or, of
    a family of copies, not called so by the comparison."""
    copies: Proportion
    """Copies of stored instances that were recognised: half size, JPEG 60."""
    regions: float
    """Changed regions of a confirmed pair, on average."""
    share: float
    """Share of the area that changed regions cover, on average."""
    verdicts: dict[str, int]
    decisions: dict[str, int]
    """Decisions when ingested one after another."""
    examples: tuple[tuple[Box, ...], ...]
    """Changed regions of the first few confirmed pairs."""

    @property
    def met(self) -> bool:
        """Return whether nothing is wrong, or of copies at most one pair in twenty."""
        if "near_duplicate" in self.right:
            return self.false <= self.pairs // 20
        return self.false == 0


class BannedFound(Struct, frozen=True, kw_only=True):
    """Uploads of one edit of banned photos."""

    name: str
    after: Proportion
    """Copies uploaded after the ban whose banned original was found."""
    blocked_after: Proportion
    """Blocked ones among those."""
    before: Proportion
    """Copies uploaded before the ban whose original was found."""
    blocked_before: Proportion
    """Blocked ones among those, once their original was banned."""

    @property
    def met(self) -> bool:
        """Return whether every copy that was found is blocked."""
        return min(self.blocked_after.value, self.blocked_before.value) == 1


class LabelledPair(Struct, frozen=True, kw_only=True):
    """Two files with a label of their relation, and the relation that was found."""

    left: str
    right: str
    label: Label
    found: Label | None
    """None where one of the files was refused."""
    candidate: bool
    """Whether the left picture was among the candidates of the right one."""
    words: str

    @property
    def false(self) -> bool:
        """Return whether different pictures were called copies."""
        return self.found == "copy" and self.label != "copy"


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
    odd: Proportion
    """Recall of all edits together on the photos to report on."""
    looked: tuple[CandidateCounts, ...]
    pairs: tuple[PairwiseErrors, ...]
    templates: tuple[TemplateErrors, ...]
    statements: tuple[StatementTruth, ...] = ()
    regions: RegionTruth | None = None
    labelled: tuple[LabelledPair, ...] = ()
    banned: tuple[BannedFound, ...] = ()
    seconds: float

    @property
    def met(self) -> bool:
        """Return whether every edit reached its mark, and no different pictures were confused."""
        return (
            all(edit.met for edit in self.edits)
            and not any(pairs.false for pairs in self.pairs)
            and all(kind.met for kind in self.templates)
            and not any(pair.false for pair in self.labelled)
            and all(edit.met for edit in self.banned)
        )


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
