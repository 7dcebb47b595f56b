"""What is written down: jobs, the operations and entries of the log, and the records they leave."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from core.types import (
    ActiveSpaces,
    ChosenSpace,
    Content,
    Decision,
    Fingerprint,
    SpaceKind,
    Value,
    Vector,
    Verdict,
)

FORMAT = 2
"""The newest way of writing an entry that is understood here: 2 knows records that are held."""
ENTRY_OPERATIONS = 64
"""Most operations of one entry of the log."""
ENTRY_BYTES = 1 << 20
"""Most bytes of one entry as it is written, so that a tail is read quickly."""


class Embedded(Struct, frozen=True):
    """A vector that was made of a picture after it was settled."""

    image_id: str
    space_id: str
    said: str | None = None
    """op_id of the fields that a caption vector was made of."""


class LogPlace(NamedTuple):
    """Where in the log something came to be: entry, and state within it, counted from 0."""

    seq: int
    n: int


class State(Struct, frozen=True, kw_only=True):
    """All of a record that later verdicts depend on, whole, as the newest entry left it."""

    image_id: str
    sha256: str
    pixels: str
    """`pixels_sha256`."""
    accepted_at: str
    updated_at: str
    verdict: Verdict
    decision: Decision
    anchor: LogPlace | None = None
    """Where it became an anchor; None: it is no candidate for others."""
    content: Content = "stored"
    revision: int = 1
    """Of the record: every change of state raises it (ETag)."""
    fields: str | None = None
    """op_id of the newest fields object."""
    closed: bool = False
    """It is being deleted: it takes no new copies."""
    spaces: tuple[str, ...] = ()
    """space_ids its vectors are stored under."""
    spreading: tuple[str, ...] = ()
    """Decisions still on their way to its copies, by job_id; the last one is in force."""
    hold_until: str | None = None
    """Before this time it is neither deleted nor purged."""

    def held(self, at: str) -> bool:
        """Whether it must be kept at this time; a delete that has begun goes through."""
        return self.hold_until is not None and self.hold_until > at and not self.closed

    @property
    def original(self) -> str:
        """The record that stands for this one: itself where it is no copy."""
        copy = self.verdict.kind in ("exact", "near_duplicate")
        return self.verdict.original if copy and self.verdict.original else self.image_id


class Problem(Struct, frozen=True, kw_only=True):
    """An error as it is written down and told (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


JobKind = Literal[
    "ingest", "delete", "purge", "decide", "edit", "embed", "add_space", "activate_space"
]
"""The last three concern no picture or many: `image_id` is empty there."""
JobStatus = Literal["queued", "decoding", "embedding", "settling", "done", "failed"]


class Job(Struct, frozen=True, kw_only=True):
    """One thing to be settled, as it lies under `pending/<tenant>/<job_id>`."""

    job_id: str
    """An upload's is its image_id, a retry's `<image_id>.<n>`, an operation's its own UUIDv7."""
    tenant: str
    image_id: str
    kind: JobKind
    accepted_at: str
    fields: str | None = None
    """op_id of the fields object written with it."""
    if_match: int | None = None
    """Record revision the caller saw; None: any."""
    value: Value | None = None
    """The decision, for kind `decide`."""
    sha256: str = ""
    md5: str = ""
    bytes: int = 0
    format: str = ""
    keep_bytes: bool = True
    """False: `on_duplicate=discard_bytes`."""
    chosen: ChosenSpace | None = None
    """The space that is to be added or activated."""
    present: ChosenSpace | None = None
    """What was asked so far, where the log does not say yet."""
    hold_until: str | UnsetType | None = UNSET
    """Of an `edit`: what the record's becomes; unset: it stays."""


class Ended(Struct, frozen=True):
    """A job that another one's operation ended."""

    job_id: str
    accepted_at: str


OperationKind = Literal[
    "settled",
    "failed",
    "deleted",
    "purged",
    "decided",
    "edited",
    "closed",
    "resettled",
    "refused",
    "embedded",
    "chosen",
]


class Operation(Struct, frozen=True, kw_only=True):
    """What became of one job: the states it leaves, in full, so that replay only applies them."""

    job: str
    kind: OperationKind
    """`closed` and `resettled` are the bounded steps of a large delete, which ends in `deleted`."""
    job_kind: JobKind
    image_id: str
    accepted_at: str
    finished_at: str
    states: tuple[State, ...] = ()
    removed: tuple[str, ...] = ()
    problem: Problem | None = None
    """Why it failed or was refused."""
    last: bool = True
    """False on a bounded step after which the job goes on: it gets no done mark yet."""
    also: tuple[Ended, ...] = ()
    """Uploads that had not been settled when this deleted them: they have ended as well."""
    standing: ActiveSpaces | None = None
    """What is asked and filled from now on."""


class Entry(Struct, frozen=True, kw_only=True):
    """One object of the log. At most 64 jobs and 1 MB; nothing personal in it."""

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
"""Characters that an `external_id` may have: whoever sets or makes one goes by this."""


class Fields(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller says of a picture; never in the log."""

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
    """False: `on_duplicate=discard_bytes`, for a retry to know."""
    reason: str | None = None
    """Why a person decided as they did."""


class Record(Struct, frozen=True, kw_only=True):
    """A settled picture as the index holds it: state, fingerprint and fields joined."""

    tenant: str
    seq: int
    """Entry that left it so; the highest wins."""
    state: State
    fingerprint: Fingerprint
    fields: Fields
    vectors: dict[str, Vector] = {}
    """By space_id; empty where the index was asked without vectors."""


class Tombstone(Struct, frozen=True):
    """What stays of a deleted record: it was here, and until when."""

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
    """As it was told when the job ended; the record's own may have a higher revision."""
    decision: Decision | None = None
    problem: Problem | None = None


CAPTION_TEMPLATE = "title, description, tags: each on a line, tags parted by commas"
"""Names the way `caption` joins them: part of what tells one caption space from another."""


def caption(fields: Fields) -> str:
    """The text that is embedded, "" where nobody wrote anything."""
    parts = (fields.title, fields.description, ", ".join(fields.tags))
    return "\n".join(part.strip() for part in parts if part and part.strip())


def embeddable_kinds(state: State, fields: Fields) -> tuple[SpaceKind, ...]:
    """Return the kinds of spaces a record could have a vector in: it has pixels, it has words."""
    visual: tuple[SpaceKind, ...] = ("visual",) if state.content != "purged" else ()
    return (*visual, "caption") if caption(fields) else visual


def is_candidate(state: State, fingerprint: Fingerprint) -> bool:
    """Return whether others may be found to repeat it: an anchor neither closed nor flat."""
    return state.anchor is not None and not state.closed and fingerprint.comparable
