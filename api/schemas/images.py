"""Wire types of answers about pictures and jobs, as the reference at /schema shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from core.evidence import Evidence
from core.records import JobKind, JobStatus
from core.types import Absent, By, Content, Kind, Value

Format = Literal["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "PPM"]

ImageId = Annotated[
    str,
    Meta(
        description="UUIDv7 of one accepted upload; also the id of its ingest job.",
        examples=["01980a5e-7c1d-7b6a-9f0e-3f6f0c1f2a44"],
    ),
]
Time = Annotated[
    str,
    Meta(description="RFC 3339, UTC, milliseconds.", examples=["2026-03-01T09:30:00.125Z"]),
]
Cosine = Annotated[float, Meta(description="Cosine similarity; larger is closer.")]


class Decision(Struct, frozen=True, kw_only=True):
    """The decision what may be done with the picture."""

    value: Value
    reason: Annotated[str | None, Meta(description="Reason that a person gave.")] = None
    by: By
    at: Time


class Original(Struct, frozen=True, kw_only=True):
    """The record that copies point at; all but its id is null if it was deleted since."""

    image_id: ImageId
    external_id: str | None
    owner_id: str | None
    decision: Decision | None
    accepted_at: Time | None


class Match(Struct, frozen=True, kw_only=True):
    """An earlier picture that was compared; an unconfirmed one is no duplicate."""

    image_id: Annotated[
        ImageId | None, Meta(description="Null: a blocked picture that was deleted.")
    ]
    kind: Kind
    confirmed: Annotated[bool, Meta(description="Whether it is a copy: never true of a variant.")]
    evidence: Evidence


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether the picture was seen before, its original, and the evidence."""

    kind: Annotated[
        Kind,
        Meta(
            description="`variant`: the layout or scene of an earlier picture with other content. "
            "It has no original; `matches` names the other, without `confirmed`."
        ),
    ]
    original: Annotated[
        Original | None,
        Meta(description="Null: not a copy, or of a blocked picture that was deleted."),
    ]
    matches: Annotated[tuple[Match, ...], Meta(description="Up to 20, best first.")]
    missing: tuple[Absent, ...]
    comparable: Annotated[
        bool,
        Meta(description="False: its hash holds nothing (flat, tiny); local features still count."),
    ]
    candidates_truncated: bool
    policy_version: str
    pipeline_version: str
    revision: Annotated[
        int, Meta(description="Incremented when a later change alters the verdict.")
    ]
    decided_at: Time
    decided_by: Literal["machine", "person"]


class Phash(Struct, frozen=True):
    """DCT perceptual hash of the picture."""

    hex: str
    bits: int = 64


class Pdq(Struct, frozen=True):
    """PDQ hash, for exchange with lists of other services."""

    hex: str
    bits: int = 256
    quality: int = 0


class Fingerprints(Struct, frozen=True, kw_only=True):
    """Hashes by which the picture is recognised."""

    phash: Phash
    pdq: Pdq
    md5: Annotated[str, Meta(description="MD5 of the bytes as uploaded, in hex.")]
    pixels_sha256: Annotated[str, Meta(description="SHA-256 of the canonical 512-pixel preview.")]
    pixels_version: Annotated[
        int, Meta(description="Version of the decoding that last changed pictures like this one.")
    ]
    features_version: Annotated[int, Meta(description="Version of the hashes and local features.")]
    frames_sha256: Annotated[
        str,
        Meta(description="SHA-256 over the canonical pixels of up to 64 frames; empty for one."),
    ]
    hdr: Annotated[
        Literal["pq", "hlg"] | None,
        Meta(
            description="HDR curve of the file. Pixels are compared as SDR, white being 203 cd/m²."
        ),
    ]


class Spaces(Struct, frozen=True, kw_only=True):
    """Ids of the embedding spaces that hold a vector of this record."""

    visual: str | None
    caption: str | None


class Image(Struct, frozen=True, kw_only=True):
    """A settled picture and its record."""

    image_id: ImageId
    owner_id: str | None
    external_id: str | None
    title: str | None
    description: str | None
    category: str | None
    tags: tuple[str, ...]
    source_url: str | None
    metadata: dict[str, Any]
    filename: str | None
    sha256: Annotated[str, Meta(description="SHA-256 of the bytes as uploaded, in hex.")]
    fingerprints: Fingerprints
    width: Annotated[int, Meta(description="Pixels, upright.")]
    height: Annotated[int, Meta(description="Pixels, upright.")]
    format: Annotated[Format, Meta(description="Format of the bytes, whatever the file name.")]
    frames: int
    bytes: int
    content: Content
    accepted_at: Time
    updated_at: Time
    spaces: Spaces
    verdict: Verdict
    decision: Decision
    anchor: Annotated[bool, Meta(description="Whether later pictures may be copies of it.")]
    hold_until: Annotated[
        Time | None, Meta(description="Until then the picture can be neither deleted nor purged.")
    ]
    revision: Annotated[int, Meta(description="Revision of the record; its ETag starts with it.")]


class Images(Struct, frozen=True):
    """A page of records, newest first."""

    items: list[Image]
    next_cursor: str | None


class Star(Struct, frozen=True):
    """An original and its confirmed copies, newest first."""

    original: Annotated[Image | None, Meta(description="Null: a blocked picture that was deleted.")]
    items: list[Image]
    next_cursor: str | None


class Neighbour(Struct, frozen=True):
    """A record near another one."""

    image: Image
    similarity: Cosine


class Neighbours(Struct, frozen=True):
    """Nearest records of one space, best first."""

    space: Annotated[str, Meta(description="Id of the space in which they were compared.")]
    items: list[Neighbour]
    next_cursor: str | None = None


class Similarities(Struct, frozen=True, kw_only=True):
    """Cosines in the searched spaces that hold a vector of the picture."""

    visual: Cosine | UnsetType = UNSET
    caption: Cosine | UnsetType = UNSET


class Hit(Struct, frozen=True, kw_only=True):
    """A found picture, and how it matched."""

    image: Image
    similarities: Similarities
    distance: Annotated[
        float | UnsetType, Meta(description="Distance by `metric`, if one space was searched.")
    ] = UNSET
    rank: Annotated[int, Meta(description="Rank from 1.")]
    matched_by: Annotated[
        tuple[Literal["visual", "caption", "keyword"], ...],
        Meta(description="Modes whose lists hold the picture."),
    ]
    matched_copy_id: Annotated[
        ImageId | UnsetType,
        Meta(description="Copy that matched, or the only one that passed the filters."),
    ] = UNSET
    band: Annotated[
        Literal["very close", "close", "related", "weak"] | UnsetType,
        Meta(description="Words for the best of its similarities, by thresholds of each space."),
    ] = UNSET
    group: Annotated[str | UnsetType, Meta(description="The picture's value of `group_by`.")] = (
        UNSET
    )


class Hits(Struct, frozen=True, kw_only=True):
    """Results of a search, best first."""

    hits: list[Hit]
    used: Annotated[
        tuple[Literal["visual", "caption", "keyword"], ...],
        Meta(description="Modes that took part."),
    ]
    missing: Annotated[
        tuple[Absent, ...],
        Meta(description="Modes of hybrid that could not take part, named by `signal`."),
    ]
    took_ms: float


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457)."""

    type: Annotated[
        str,
        Meta(description="Path of a page about this type.", examples=["/problems/malformed"]),
    ]
    title: str
    status: int
    detail: str
    field: Annotated[str | None, Meta(description="The field, parameter or header at fault.")] = (
        None
    )
    filename: Annotated[str | None, Meta(description="The file at fault.")] = None
    request_id: Annotated[
        str | None, Meta(description="Id of the request in the service's log.")
    ] = None
    errors: Annotated[
        list[Problem] | None, Meta(description="One for each file, if none was accepted.")
    ] = None
    job: Annotated[Job | None, Meta(description="Job of a picture that has no record (yet).")] = (
        None
    )
    reasons: Annotated[dict[str, str] | None, Meta(description="Why a part is down or absent.")] = (
        None
    )
    parts: Annotated[
        dict[str, Literal["ok", "down", "absent", "off"]] | None,
        Meta(description="State of each part, if uploads cannot be accepted."),
    ] = None
    erased: Annotated[
        Erased | None, Meta(description="Outcome for an owner's pictures, if some are held.")
    ] = None


class Job(Struct, frozen=True, kw_only=True):
    """One unit to be settled: an upload, or an operation on a record."""

    job_id: str
    kind: JobKind
    image_id: Annotated[
        ImageId | None, Meta(description="Null for a job that concerns no single picture.")
    ]
    status: JobStatus
    verdict: Annotated[Verdict | None, Meta(description="As it was when the job ended.")] = None
    decision: Decision | None = None
    error: Annotated[Problem | None, Meta(description="Error that the job failed with.")] = None
    attempts: int = 1
    accepted_at: Time
    finished_at: Time | None = None


class Jobs(Struct, frozen=True):
    """A page of jobs, newest first."""

    items: list[Job]
    next_cursor: str | None


class Item(Struct, frozen=True, kw_only=True):
    """An accepted file, or the error that refused it.

    Accepted: `job_id`, `image_id`, `status`; with `wait`, all fields of the job. Refused: only
    `error`.
    """

    job_id: str | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    status: JobStatus | UnsetType = UNSET
    kind: Literal["ingest"] | UnsetType = UNSET
    verdict: Verdict | UnsetType | None = UNSET
    decision: Decision | UnsetType | None = UNSET
    error: Problem | UnsetType | None = UNSET
    attempts: int | UnsetType = UNSET
    accepted_at: Time | UnsetType = UNSET
    finished_at: Time | UnsetType | None = UNSET


class Accepted(Struct, frozen=True):
    """An item for each file, in the order of the parts."""

    items: list[Item]


class Checked(Struct, frozen=True):
    """The verdict and decision that an upload would get now."""

    verdict: Verdict
    decision: Decision


class Erased(Struct, frozen=True, kw_only=True):
    """Outcome of deleting an owner's pictures."""

    owner_id: str
    matched: Annotated[int, Meta(description="Pictures found: settled, waiting or failed.")]
    deleted: int
    waiting: Annotated[int, Meta(description="Deletes accepted but not settled yet.")]
    held: Annotated[
        int | UnsetType,
        Meta(description="Pictures kept until their `hold_until`, if there are any."),
    ] = UNSET
