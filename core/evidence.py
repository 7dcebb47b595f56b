"""Evidence of a comparison of two pictures: its measures, changed regions and statements."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Relation = Literal["copy", "variant", "unrelated"]
"""Relation that a comparison of pixels finds between two pictures."""
Signal = Literal["sha256", "pixels", "phash", "visual", "features", "alignment"]
"""Evidence that two pictures are one, from the strictest to the laxest."""
Turn = Literal[
    "none",
    "turned 90",
    "turned 180",
    "turned 270",
    "mirrored",
    "mirrored turned 90",
    "mirrored turned 180",
    "mirrored turned 270",
]
"""The eight orientations of a whole picture, in the order of `Fingerprint.turns`."""
Uncompared = Literal["frames", "transparency"]
"""Content outside the canonical pixels: other frames, or a part of a drawing on a transparent
ground that has the ground's colour."""


class Box(Struct, frozen=True):
    """A rectangle in the original's frame; all four are shares of its width and height."""

    x: float
    y: float
    width: float
    height: float


ChangeKind = Literal["laid_over", "cut_away", "replaced", "recoloured"]
"""How a region differs: matter over the original, matter gone to plain ground, other matter of the
original's own sort, or the same structure in another colour."""


class ChangedRegion(Box, frozen=True):
    """A rectangle of the original in which the picture differs, and how it differs."""

    kind: ChangeKind = "laid_over"


StatementCode = Literal[
    "same_file",
    "same_pixels",
    "no_pixels",
    "looks_alike",
    "unchanged",
    "reencoded",
    "mirrored",
    "turned",
    "cropped",
    "extended",
    "framed",
    "stretched",
    "slanted",
    "bent",
    "caption",
    "watermark",
    "laid_over",
    "cut_away",
    "replaced",
    "recoloured",
    "negative",
    "without_colours",
    "tinted",
    "brighter",
    "darker",
    "more_contrast",
    "less_contrast",
    "uneven_light",
    "blurred",
    "sharpened",
    "resized",
    "enlarged",
    "other_content",
    "other_colours",
    "other_view",
    "same_layout",
    "small_print",
    "uncompared_frames",
    "uncompared_transparency",
]
"""Codes of statements; docs/glossary.md has the parameters of each."""


class Statement(Struct, frozen=True):
    """One thing that is true of a pair, such as `mirrored` or `cropped` with its percentage."""

    code: StatementCode
    params: dict[str, float | str] = {}


class Transform(Struct, frozen=True):
    """The position of a picture in the original's frame."""

    mirrored: bool
    rotation: Annotated[float, Meta(description="Degrees counter-clockwise, after the mirror.")]
    scale: Annotated[float, Meta(description="Original pixels that a picture pixel covers.")]
    seen: Annotated[float, Meta(description="Share of the original's area that is shown.")]
    filled: Annotated[float, Meta(description="Share of the picture that the original fills.")]
    matrix: Annotated[
        tuple[float, float, float, float, float, float],
        Meta(description="Picture to original in shares of their sides: x' = ax + by + c, y' = …"),
    ]
    homography: Annotated[
        tuple[float, float, float, float, float, float, float, float, float] | None,
        Meta(description="The same with perspective: rows of the 3 x 3 matrix; null if unknown."),
    ] = None


class Evidence(Struct, frozen=True, kw_only=True):
    """The evidence of a match: numbers for a machine, words for a person."""

    signals: tuple[Signal, ...] = ()
    hamming: Annotated[
        int | None, Meta(description="Bits between the perceptual hashes; smaller is closer.")
    ] = None
    turn: Annotated[Turn | None, Meta(description="The turn or mirror that came closest.")] = None
    similarity: Annotated[
        float | None, Meta(description="Cosine similarity; larger is closer.")
    ] = None
    votes: Annotated[
        int | None, Meta(description="Local features that agree on one scale, turn and shift.")
    ] = None
    inliers: Annotated[
        int | None, Meta(description="Keypoints that the transform lays on their partner.")
    ] = None
    overlap: Annotated[
        float | None, Meta(description="Share of the textured blocks that agree.")
    ] = None
    transform: Transform | None = None
    changed_regions: tuple[ChangedRegion, ...] = ()
    changed_share: Annotated[float, Meta(description="Of the original's area.")] = 0.0
    uncompared: Annotated[
        tuple[Uncompared, ...],
        Meta(
            description="What one of the two shows and was not compared: other frames, or what has "
            "the colour of its transparent ground. A block is then no more than a review."
        ),
    ] = ()
    same_owner: bool | None = None
    statements: tuple[Statement, ...] = ()
    words: Annotated[
        str, Meta(description="The statements in English.", examples=["mirrored, cropped to 62 %"])
    ] = ""


class Support(Struct, frozen=True):
    """Keypoints of the picture on which a comparison rests."""

    points: tuple[int, ...]
    """Rows of the picture's keypoints that the map lays on a partner."""
    log_nfa: float
    """Decimal logarithm of the map's number of false alarms."""
    tentative: int
    """Matches that were tried."""
    sample: int
    """Matches that fix a map of its kind."""
    area: float
    """Area of the original's preview, in pixels."""


class Comparison(Struct, frozen=True):
    """The result of laying one picture over another."""

    relation: Relation
    evidence: Evidence
    support: Support | None = None
    """None if no map was found, or one of other keypoints than the picture's own."""

    @property
    def confirmed(self) -> bool:
        """Return whether the picture is a copy of the other."""
        return self.relation == "copy"
