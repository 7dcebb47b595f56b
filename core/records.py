"""Stored data: jobs, the operations and entries of the log, and the records they leave."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from core.evidence import Evidence
from core.keys import is_caption
from core.types import (
    COPY_KINDS,
    ActiveSpaces,
    Bank,
    ChosenSpace,
    Content,
    Decision,
    Erasure,
    Fingerprint,
    Match,
    Remade,
    SpaceKind,
    Value,
    Vector,
    Verdict,
)

FORMAT = 5
"""The newest format of an entry that this version reads; 2 adds held records, 3 variants and
confirmed matches beyond those that a verdict lists, 4 pictures fingerprinted again, and
5 entries of banks."""
ENTRY_OPERATIONS = 64
"""Maximum operations in one entry of the log."""
ENTRY_BYTES = 1 << 20
"""Maximum encoded bytes of one entry, so that a tail is read quickly."""


class Embedded(Struct, frozen=True):
    """A vector computed for a picture after it was settled."""

    image_id: str
    space_id: str
    said: str | None = None
    """Source of the vector: op_id of a caption's fields, or of pixels decoded again."""


class Refingerprinted(Struct, frozen=True, kw_only=True):
    """A fingerprint computed again for a settled picture, stored under the job's id."""

    image_id: str
    before: Remade | None
    """Objects that the record named when it was read; a record that names others is left alone."""
    pixels: str
    """`pixels_sha256` of the new fingerprint."""
    spaces: tuple[str, ...] | None = None
    """Visual spaces in which the new pixels have vectors; None: the pixels did not change."""


class LogPlace(NamedTuple):
    """A position in the log: the entry, and the state within it, counted from 0."""

    seq: int
    n: int


class State(Struct, frozen=True, kw_only=True):
    """The part of a record that later verdicts depend on, in full, as of its newest entry."""

    image_id: str
    sha256: str
    pixels: str
    """`pixels_sha256`."""
    accepted_at: str
    updated_at: str
    verdict: Verdict
    decision: Decision
    anchor: LogPlace | None = None
    """Position at which it became an anchor; None: it is no candidate for others."""
    content: Content = "stored"
    revision: int = 1
    """The record's revision: every change of state raises it (ETag)."""
    fields: str | None = None
    """op_id of the newest fields object."""
    closed: bool = False
    """True while it is being deleted: it takes no new copies."""
    spaces: tuple[str, ...] = ()
    """space_ids its vectors are stored under."""
    spreading: tuple[str, ...] = ()
    """Decisions still on their way to its copies, by job_id; the last one is in force."""
    hold_until: str | None = None
    """Before this time it is neither deleted nor purged."""
    unlisted: tuple[Match, ...] = ()
    """Confirmed matches beyond those listed, with the evidence that a decision depends on."""
    remade: Remade | None = None
    """Objects that replace those of its upload."""
    bank: Bank | None = None
    """Bank whose entry it is: later pictures are still compared with it, but to readers the picture
    is deleted. None: it is a picture."""

    def source_of(self, space_id: str) -> str | None:
        """Return the op_id that names its vector of a space: of its caption, or of its pixels."""
        if is_caption(space_id):
            return self.fields
        return self.remade.pixels if self.remade is not None else None

    def held(self, at: str) -> bool:
        """Return whether it must be kept at this time; a delete that has begun goes through."""
        return self.hold_until is not None and self.hold_until > at and not self.closed

    @property
    def original(self) -> str:
        """Return the image_id that stands for this record: its own if it is no copy."""
        copy = self.verdict.kind in COPY_KINDS
        return self.verdict.original if copy and self.verdict.original else self.image_id

    @property
    def confirmed(self) -> dict[str, Evidence | None]:
        """Return the evidence of every confirmed match by image_id, a copy's original first."""
        if self.verdict.original is None:
            return {}
        found: dict[str, Evidence | None] = {self.verdict.original: None}
        for matches in (self.verdict.matches, self.unlisted):
            for match in matches:
                if match.confirmed:
                    found[match.image_id] = match.evidence
        return found

    def names(self, image_id: str) -> bool:
        """Return whether another record is among its confirmed matches."""
        return image_id == self.verdict.original or image_id in self.confirmed

    @property
    def contained(self) -> tuple[str, ...]:
        """Return the image_ids of its confirmed matches besides its original."""
        return tuple(one for one in self.confirmed if one != self.original)


class Problem(Struct, frozen=True, kw_only=True):
    """An error as it is stored and returned (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


JobKind = Literal[
    "ingest",
    "delete",
    "purge",
    "decide",
    "edit",
    "embed",
    "refingerprint",
    "add_space",
    "activate_space",
]
"""The last four concern no picture or many: `image_id` is empty there."""
JobStatus = Literal["queued", "decoding", "embedding", "settling", "done", "failed"]


class Job(Struct, frozen=True, kw_only=True):
    """A unit of work to be settled, stored under `pending/<tenant>/<job_id>`."""

    job_id: str
    """An upload's is its image_id, a retry's `<image_id>.<n>`, an operation's its own UUIDv7."""
    tenant: str
    image_id: str
    kind: JobKind
    accepted_at: str
    fields: str | None = None
    """op_id of the fields object stored with it."""
    if_match: int | None = None
    """Record revision the caller saw; None: any."""
    value: Value | None = None
    """The decision, for kind `decide`."""
    sha256: str = ""
    md5: str = ""
    bytes: int = 0
    format: str = ""
    cost: float = 0.0
    """Estimated seconds of an upload on one core, by its header; 0 where it is not known."""
    keep_bytes: bool = True
    """False: `on_duplicate=discard_bytes`."""
    chosen: ChosenSpace | None = None
    """The space to add or to activate."""
    present: ChosenSpace | None = None
    """The space searched so far, if the log does not record it yet."""
    hold_until: str | UnsetType | None = UNSET
    """The record's new value, for kind `edit`; unset: it stays."""
    erasure: Erasure = "erase"
    """Effect on a picture that a person blocked, for kind `delete`."""


class Ended(Struct, frozen=True):
    """A job that another job's operation ended."""

    job_id: str
    accepted_at: str


OperationKind = Literal[
    "settled",
    "failed",
    "deleted",
    "hidden",
    "purged",
    "decided",
    "edited",
    "closed",
    "resettled",
    "refused",
    "embedded",
    "refingerprinted",
    "chosen",
]


class Operation(Struct, frozen=True, kw_only=True):
    """The result of one job: the states it leaves, in full, so that replay only applies them."""

    job: str
    kind: OperationKind
    """`closed` and `resettled` are the bounded steps of a large delete, which ends in `deleted`;
    `hidden` is a delete that left an entry in a bank."""
    job_kind: JobKind
    image_id: str
    accepted_at: str
    finished_at: str
    states: tuple[State, ...] = ()
    removed: tuple[str, ...] = ()
    problem: Problem | None = None
    """Why it failed or was refused."""
    last: bool = True
    """False on a bounded step after which the job continues: it gets no done mark yet."""
    also: tuple[Ended, ...] = ()
    """Uploads deleted by this operation before they were settled: they have ended as well."""
    standing: ActiveSpaces | None = None
    """The spaces searched and filled from this entry on."""


class Entry(Struct, frozen=True, kw_only=True):
    """One object of the log: at most 64 operations and 1 MiB, without personal data."""

    seq: int
    nonce: str
    previous: str
    """Nonce of entry seq - 1, "" for the first."""
    at: str
    format: int = 1
    pipeline_version: str
    policy_version: str
    operations: tuple[Operation, ...]


EXTERNAL_ID = 1_024
"""Maximum characters of an `external_id`, set by a caller or generated."""


class Fields(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data that the caller sends about a picture; never in the log."""

    title: str | None = None
    description: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    owner_id: str | None = None
    external_id: str | None = None
    source_url: str | None = None
    metadata: dict[str, object] = {}
    filename: str | None = None
    keep_bytes: bool = True
    """False: `on_duplicate=discard_bytes`, which a retry needs."""
    reason: str | None = None
    """The reason a person gave for a decision."""


class Record(Struct, frozen=True, kw_only=True):
    """A settled picture as the index holds it: state, fingerprint and fields joined."""

    tenant: str
    seq: int
    """The entry that wrote it; the highest wins."""
    state: State
    fingerprint: Fingerprint
    fields: Fields
    vectors: dict[str, Vector] = {}
    """Vectors by space_id; empty if it was read without vectors."""


class Tombstone(Struct, frozen=True):
    """The remainder of a deleted record: its id and when it was deleted."""

    image_id: str
    seq: int
    deleted_at: str


class Outcome(Struct, frozen=True, kw_only=True):
    """A job that has ended, as the index holds it."""

    job_id: str
    image_id: str
    kind: JobKind
    seq: int
    accepted_at: str
    finished_at: str
    verdict: Verdict | None = None
    """The verdict when the job ended; the record's own may have a higher revision."""
    decision: Decision | None = None
    problem: Problem | None = None


CAPTION_TEMPLATE = "title, description, tags: each on a line, tags parted by commas"
"""Description of how `caption` joins the fields; part of a caption space's id."""


def caption(fields: Fields) -> str:
    """Return the text to embed, "" if the fields hold none."""
    parts = (fields.title, fields.description, ", ".join(fields.tags))
    return "\n".join(part.strip() for part in parts if part and part.strip())


def embeddable_kinds(state: State, fields: Fields) -> tuple[SpaceKind, ...]:
    """Return the kinds of spaces a record could have a vector in: it has pixels, it has words."""
    if state.bank is not None:
        return ()
    visual: tuple[SpaceKind, ...] = ("visual",) if state.content != "purged" else ()
    return (*visual, "caption") if caption(fields) else visual


def is_candidate(state: State) -> bool:
    """Return whether later pictures are compared with it: an anchor that is not closed."""
    return state.anchor is not None and not state.closed
