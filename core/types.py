"""Immutable value types shared by all packages, ready for JSON or msgpack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from core.evidence import Evidence, Uncompared
from core.image_formats import BY_DEFAULT

Pixels = NDArray[np.uint8]
"""(height, width, 3) 8-bit sRGB, upright."""
Vector = NDArray[np.float32]
"""(d,) float32 of unit length."""
Matrix = NDArray[np.float32]
"""(n, d) float32, rows of unit length."""

Kind = Literal["exact", "near_duplicate", "variant", "similar", "new"]
"""`variant`: the same layout or scene with other content, such as two receipts of a shop. It is an
original itself, and its match is not `confirmed`, as no copy was found."""
COPY_KINDS: tuple[Kind, ...] = ("exact", "near_duplicate")
"""Kinds of the verdicts on copies, which name an original; all other pictures are originals."""
Value = Literal["allow", "review", "block"]
By = Literal["policy", "person"]
Content = Literal["stored", "discarded", "purged"]
Bank = Literal["BLOCKED"]
"""Bank of fingerprints without a picture. `BLOCKED` holds those of pictures that a person blocked
and a caller below admin, or retention, deleted: later copies are still recognised and blocked."""
Erasure = Literal["hide", "erase", "forget"]
"""Effect of a delete on a picture that a person blocked: `hide` moves its fingerprint to the bank
BLOCKED, `erase` removes all of it, and `forget` also what an earlier delete hid."""
SpaceKind = Literal["visual", "caption"]
SPACE_KINDS: tuple[SpaceKind, ...] = ("visual", "caption")
ReportProgress = Callable[[int, int], None]
"""A callback for the progress of a long task: items done, and items in all."""


# --- pictures -----------------------------------------------------------------------------------


class Limits(Struct, frozen=True, kw_only=True):
    """Limits on a picture and on decoding it; checked before a decoder reads the bytes."""

    bytes: int = 32 * 1024 * 1024
    pixels: int = 100_000_000
    frames: int = 1_000
    seconds: float = 8.0
    memory: int = 1_500_000_000
    """Address space of a decoding child, in bytes."""
    formats: tuple[str, ...] = BY_DEFAULT
    """Names as in SEENIT_FORMATS; a file of another format is refused."""


class Header(Struct, frozen=True):
    """Format and size from a file's header, read without decoding pixels."""

    format: str
    width: int
    height: int
    frames: int


HDR = Literal["pq", "hlg"]
"""HDR curve of a picture; its canonical pixels are SDR, parts brighter than white are clipped."""


class Canonical(Struct, frozen=True):
    """A picture brought to upright 8-bit sRGB: its preview, and the size it stands for."""

    preview: Pixels
    """Long side at most 512 pixels; a strip's is longer, up to 4,096, so that its short side has
    128. Never enlarged."""
    width: int
    height: int
    """Size of the whole picture after the EXIF turn, in pixels."""
    format: str
    frames: int
    hides: bool = False
    """Whether a part of a drawing on a transparent ground cannot be seen on the ground below it."""
    pixels_version: int = 1
    """Version of the rules that first gave these pixels."""
    frames_compared: int = 1
    """Frames that `frames_sha256` covers."""
    frames_sha256: str = ""
    """Digest over the canonical pixels of these frames; empty for a picture of one frame."""
    hdr: HDR | None = None
    large: bytes = b""
    """Preview of a drawn picture with sides up to 1,600 pixels, as WebP; empty for others."""


class Features(Struct, frozen=True):
    """Local features of a 224-pixel preview, as words for an inverted table (arrays as bytes)."""

    words: bytes
    """(n, tables) uint32, row-major: the words of each descriptor."""
    mirrored: bytes
    """(n, tables) uint32: the same for the mirrored picture, row i being the same keypoint."""
    points: bytes
    """(n, 4) float32: x and y in the preview's pixels, size in pixels, angle in degrees."""
    width: int
    height: int
    """Size of the small preview in which the points lie, in pixels."""
    negative: bytes = b""
    """(2m, tables) uint32: words of the negative, then of the mirrored negative, of the first m
    keypoints; empty in version 1."""
    uncertain: bytes = b""
    """(2n + 2m, tables, 2) uint8: the least certain bits of each word of words, mirrored and
    negative, in that order; empty in version 1."""
    coarse: Features | None = None
    """The same of the picture at 48 pixels, without negatives: a query is looked up by them as
    well. None before version 3, and of a picture that is no larger."""


class Fingerprint(Struct, frozen=True, kw_only=True):
    """The data of a picture that matching needs; stored in `derived/`, joined by a reindex."""

    sha256: str
    md5: str
    bytes: int
    format: str
    frames: int
    width: int
    height: int
    pixels_version: int
    """Version of the decoding that last changed the pixels of files like this one."""
    pixels_sha256: str
    turns: tuple[str, str, str, str, str, str, str, str]
    """phash (64 bits, 16 hex digits) of the eight turns and mirrors; [0] is as it is."""
    pdq: str
    pdq_quality: int
    comparable: bool
    """False if the picture is too flat or too small for a meaningful hash."""
    features: Features
    hides: bool = False
    """Whether a part of a drawing on a transparent ground cannot be seen on the ground below it."""
    frames_compared: int = 1
    """Frames that `frames_sha256` covers."""
    frames_sha256: str = ""
    """Digest over the canonical pixels of these frames; empty for a picture of one frame."""
    hdr: HDR | None = None
    features_version: int = 1
    """Version of the hashes and features; fingerprints stored without it have the first."""
    large: bool = False
    """Whether a large preview of this drawn picture is stored beside the preview."""

    @property
    def digested(self) -> bool:
        """Return whether the two digests of pixels cover everything that the picture shows."""
        return self.frames <= self.frames_compared and not self.hides

    @property
    def uncompared(self) -> tuple[Uncompared, ...]:
        """Return the kinds of content that the canonical pixels do not hold."""
        frames: tuple[Uncompared, ...] = ("frames",) if self.frames > 1 else ()
        return (*frames, "transparency") if self.hides else frames

    @property
    def phash(self) -> str:
        """Return the picture's own phash, 16 hex digits."""
        return self.turns[0]


class Remade(Struct, frozen=True):
    """Objects of a picture that were computed again after its upload, by the job that wrote them.

    Named objects never change, and each state names its own: a reader finds those of its entry.
    """

    fingerprint: str
    """job_id under which the newest fingerprint is stored."""
    pixels: str | None = None
    """The same for preview, keypoints and visual vectors; None: those of the upload."""


class Space(Struct, frozen=True):
    """An embedding space: vectors of two different ones are never compared."""

    space_id: str
    """Kind and eight hex digits, such as `visual-1f3a90bc`."""
    kind: SpaceKind
    model: str
    dimensions: int
    similar_at: float
    """Cosine at or above which two pictures are called `similar`."""


class ChosenSpace(Struct, frozen=True):
    """A space, and the source of the model that computes its vectors."""

    space: Space
    source: str
    """A hub id or a folder, as a setting names it."""


class ActiveSpaces(Struct, frozen=True, kw_only=True):
    """A tenant's spaces of one kind: one is searched, the others are filled beside it."""

    active: ChosenSpace
    added: tuple[ChosenSpace, ...] = ()
    """Spaces in which every later upload gets vectors too."""

    @property
    def kind(self) -> SpaceKind:
        """Return the kind that all of them have."""
        return self.active.space.kind


# --- verdicts -----------------------------------------------------------------------------------


class Match(Struct, frozen=True, kw_only=True):
    """An earlier picture that was compared; an unconfirmed one is no duplicate."""

    image_id: str
    kind: Kind
    confirmed: bool
    """Whether it is a copy: never true of a variant."""
    evidence: Evidence


MODEL_OFF: dict[SpaceKind, str] = {
    "visual": "SEENIT_MODEL=none: no visual model is wanted",
    "caption": "SEENIT_CAPTION_MODEL=none: no caption model is wanted",
}
"""Reasons of models that are absent because the settings say so."""
OFF = "off"
"""Reason of a signal that the settings turn off, so that there is nothing to fix."""


AbsentSignal = Literal["visual", "caption", "keyword"]


class Absent(Struct, frozen=True):
    """A signal that could not take part."""

    signal: AbsentSignal
    reason: Annotated[str, Meta(description="Why; `off` where a setting turns its model off.")]

    @classmethod
    def of(cls, signal: AbsentSignal, reason: str) -> Absent:
        """Shorten the reason to `OFF` where the settings turn the model off."""
        return cls(signal, OFF if reason in MODEL_OFF.values() else reason)


class Verdict(Struct, frozen=True, kw_only=True):
    """The verdict on a picture. `original` is an id here; the API joins the rest when read."""

    kind: Kind
    original: str | None
    matches: tuple[Match, ...] = ()
    missing: tuple[Absent, ...] = ()
    comparable: bool = True
    candidates_truncated: bool = False
    policy_version: str
    pipeline_version: str
    revision: int = 1
    decided_at: str
    decided_by: Literal["machine", "person"] = "machine"

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the image_ids of the matches that are variants of the picture."""
        return tuple(match.image_id for match in self.matches if match.kind == "variant")


class Decision(Struct, frozen=True, kw_only=True):
    """The decision on a picture. A reason that a person gave is in the fields object."""

    value: Value
    by: By
    at: str
    reason: str | None = None
    """op_id of the fields object that holds a person's reason; the API joins it when read."""


# --- candidates ---------------------------------------------------------------------------------


class Query(Struct, frozen=True, kw_only=True):
    """A picture whose candidates are searched."""

    image_id: str
    fingerprint: Fingerprint
    vector: Vector | None = None
    """Its vector in the active visual space, if there is a model."""
    space_id: str | None = None
    """The space of `vector`; both are set or neither is."""
    remade: Remade | None = None
    """Objects of a stored picture that replace those of its upload."""


class Hit(Struct, frozen=True, kw_only=True):
    """An anchor near a query, with each source's measure; None where a source missed it."""

    image_id: str
    hamming: int | None = None
    turn: int | None = None
    """Index into `Fingerprint.turns` of the closest turn."""
    similarity: float | None = None
    votes: int | None = None
    mirrored: bool = False
    """Whether the votes came from the mirrored query."""
    negative: bool = False
    """Whether the votes came from the negative of the query."""
    remade: Remade | None = None
    """Objects that replace those of its upload, as the view of the log names them."""


class Candidates(Struct, frozen=True):
    """At most 32 hits, best first, and whether more were left out."""

    hits: tuple[Hit, ...]
    truncated: bool = False
