"""What the core asks of the outside, as synchronous, batch-first protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from PIL import Image

from core.errors import SeenitError
from core.records import Entry, JobStatus, Outcome, Record, State, Tombstone
from core.types import (
    ActiveSpaces,
    Canonical,
    Fingerprint,
    Hit,
    Matrix,
    Query,
    Space,
    SpaceKind,
    Vector,
)


@runtime_checkable
class Blobs(Protocol):
    """A bucket of objects by key; every method raises StoreUnavailableError when it is down."""

    def get(self, key: str) -> bytes:
        """Raise MissingError."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """In order, None where there is none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """In chunks of about 1 MB. Raise MissingError before the first one."""

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """In order."""

    def put(self, items: Sequence[tuple[str, bytes | Path]]) -> None:
        """Write or overwrite; durable (one flush for them all) when it returns."""

    def create(self, key: str, data: bytes) -> None:
        """Create-only and durable; of racing creates exactly one wins. Raise ExistsError."""

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create-only, durable with one flush; False where the key was taken."""

    def delete(self, keys: Iterable[str]) -> None:
        """Deleting what is not there is no error."""

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Keys under a folder-like prefix (ending in `/`), sorted, greater than `after`."""

    def folders(self, prefix: str) -> list[str]:
        """Names directly below a prefix that hold something."""

    def modified(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Keys under a prefix with their time of writing in seconds since the epoch."""

    def free(self) -> int | None:
        """Bytes left on the device, None where that means nothing."""


@runtime_checkable
class Log(Protocol):
    """One append-only log a tenant; entries are never changed or removed."""

    def read(self, tenant: str, seq: int) -> Entry | None:
        """None where that number is not taken. Raise CorruptError, StoreUnavailableError."""

    def append(self, tenant: str, entry: Entry) -> None:
        """Create-only. Raise ExistsError; on any other error the outcome is unknown."""

    def head(self, tenant: str, at_least: int = 0) -> int:
        """The highest number taken, 0 for none, by galloping from `at_least`."""

    def tenants(self) -> list[str]:
        """Those that have a log."""


class Neighbour(NamedTuple):
    """A stored picture near a question."""

    image_id: str
    similarity: float
    """Cosine; of a keyword search its BM25 relevance, 0 or above: larger is closer."""


class IndexPage(NamedTuple):
    """Part of a list, newest first by (accepted_at, image_id), and whether more follow."""

    records: list[Record]
    more: bool


class Filters(NamedTuple):
    """Conditions on a list or a search; None means any."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    """All of them must be there."""
    verdict: str | None = None
    decision: tuple[str, ...] = ()
    """Any one of them; none: whatever it is."""
    owner_id: str | None = None
    external_id: str | None = None
    sha256: str | None = None
    original_id: str | None = None
    accepted_after: str | None = None
    accepted_before: str | None = None


class RecordCard(NamedTuple):
    """What filters, groups and collapsing look at in a record: no more is read of many."""

    image_id: str
    original: str
    """The record that stands for it: itself where it is no copy."""
    verdict: str
    decision: str
    category: str | None
    owner_id: str | None
    external_id: str | None
    sha256: str
    accepted_at: str
    tags: tuple[str, ...]
    spaces: tuple[str, ...]
    """Those that it has a vector of its own in."""


class MissingVectors(NamedTuple):
    """Part of the records without a vector in some space."""

    states: list[State]
    place: int | None
    """Where the rest begins; None where there is none."""


class SpaceCoverage(NamedTuple):
    """Vectors of one space among some records; missing are those that could have one."""

    present: int
    missing: int
    represented_by_original: int


class CategoryCount(NamedTuple):
    """Counts over all records of a tenant or of one category."""

    images: int
    verdicts: dict[str, int]
    decisions: dict[str, int]
    spaces: dict[str, SpaceCoverage]


class Stats(NamedTuple):
    """What the index holds."""

    total: CategoryCount
    categories: dict[str, CategoryCount]
    watermark: int


@runtime_checkable
class Index(Protocol):
    """A projection of the log: whatever it holds can be made again. Raises IndexUnavailableError.

    Reads may lag behind `project`; the highest seq of a record wins, a tombstone stays.
    """

    def watermark(self, tenant: str) -> int:
        """W: every entry up to it is visible on every replica. 0 for an unknown tenant."""

    def tenants(self) -> list[str]:
        """Those that have a watermark."""

    def whole(self) -> None:
        """Raise IndexUnavailableError where W stands still though reads are answered."""

    def project(
        self,
        tenant: str,
        seq: int,
        records: Sequence[Record],
        removed: Sequence[Tombstone],
        outcomes: Sequence[Outcome],
        *,
        standings: Sequence[ActiveSpaces] = (),
    ) -> None:
        """Write what entry `seq` left, idempotently, and only then let W be `seq`.

        `seq` is W + 1, else nothing is written (it was projected before).
        """

    def standings(self, tenant: str) -> Mapping[SpaceKind, ActiveSpaces]:
        """Which spaces of each kind there are, as far as the log says."""

    def lacking(self, tenant: str, space_id: str, limit: int, after: int = -1) -> MissingVectors:
        """Records that could have a vector in a space and have none, in the order they came.

        A purged picture has no pixels to make a visual one of, and one of which neither title,
        description nor tag was given no words to make a caption's of.
        """

    def states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """In order; None for unknown and deleted ones."""

    def by_content(self, tenant: str, sha256: Sequence[str], pixels: Sequence[str]) -> list[State]:
        """Every live record with one of these digests."""

    def copies(self, tenant: str, image_id: str) -> list[State]:
        """Live records whose original it is, itself left out, in log order of acceptance."""

    def hits(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Anchors near each query from every source, measured, uncut except by the source's top.

        Hits of one anchor from several sources are one Hit; purged anchors included, closed ones
        left out, and the records in `without` as if they were not there: others take their places.
        """

    def fingerprints(self, tenant: str, image_ids: Sequence[str]) -> list[Fingerprint | None]:
        """In order."""

    def records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """In order; None for unknown and deleted ones."""

    def tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """In order."""

    def page(
        self,
        tenant: str,
        filters: Filters,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> IndexPage:
        """Records older than (accepted_at, image_id) `before` that pass every filter."""

    def outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """In order."""

    def outcome_page(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""

    def neighbours(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        limit: int,
        min_similarity: float = -1.0,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Exact or approximate nearest records of a space, best first.

        A record passes the filters by itself; where it has no vector of its own in that space,
        its original passes for it, except by `filtering.ALLOWED`.
        """

    def keyword(
        self,
        tenant: str,
        text: str,
        *,
        limit: int,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Records with any of a text's words, the most relevant first (BM25), copies too."""

    def values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Values that records have, sorted, at most so many; none twice."""

    def cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """In order; None for unknown and deleted ones."""

    def stars(self, tenant: str, image_ids: Sequence[str]) -> list[list[RecordCard]]:
        """In order, of each the live records whose original it is, in log order of acceptance."""

    def vector(self, tenant: str, space_id: str, image_id: str) -> Vector | None:
        """A record's stored vector."""

    def vectors(self, tenant: str, space_id: str, image_ids: Sequence[str]) -> list[Vector | None]:
        """Stored vectors, in order."""

    def stats(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Counts as of W; of these spaces also where no record has a vector in them."""

    def close(self) -> None:
        """Let go of files and connections."""


@runtime_checkable
class Rebuildable(Index, Protocol):
    """An index in whose place another may be put that was filled from the log beside it."""

    def fresh(self) -> Index:
        """An empty index beside this one; what an earlier one left is dropped."""

    def swap(self, fresh: Index) -> bool:
        """Hold what `fresh`, filled meanwhile, holds: every reader sees all of the old or the new.

        False, with nothing changed, where `fresh` lags behind a watermark that was told: bring it
        up and ask at once again, for nobody projects for some seconds then. If that added nothing,
        it is all that the log holds, and is taken. The caller closes `fresh`, also afterwards.
        Raise IndexUnavailableError; then the old one stays.
        """


@runtime_checkable
class TextEmbedder(Protocol):
    """Texts into one space of unit vectors."""

    @property
    def space(self) -> Space:
        """Model and dimensions. Raise EmbedderUnavailableError."""

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """(n, d) float32, in input order, cut at the model's limit. Urgent ones go first."""

    def load(self) -> None:
        """Make ready, once; what goes wrong is in `absent`."""

    @property
    def absent(self) -> str | None:
        """Why there is no model, None where there is one."""


@runtime_checkable
class Embedder(TextEmbedder, Protocol):
    """Pictures and texts into one space of unit vectors."""

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:
        """(n, d) float32, in input order. Urgent ones go first. Raise EmbedderUnavailableError."""


@runtime_checkable
class Decoder(Protocol):
    """Decoding and fingerprinting of hostile bytes, away from this process."""

    def fingerprint(
        self, items: Sequence[bytes], *, urgent: bool = False
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """In input order; an error object where one could not be decoded. Urgent ones go first."""


@runtime_checkable
class Queue(Protocol):
    """Where jobs wait for a worker. It may lose them: the sweeper finds them again."""

    def enqueue(self, jobs: Sequence[tuple[str, str]]) -> None:
        """(tenant, job_id) each. Raise QueueUnavailableError."""

    def depth(self) -> int:
        """Jobs waiting. Raise QueueUnavailableError."""

    def check_writable(self) -> None:
        """Raise QueueUnavailableError with the reason where nothing can be enqueued."""


@runtime_checkable
class Progress(Protocol):
    """News of jobs between worker and API: lossy by design, the log is the truth."""

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Say that these jobs have come so far."""

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """The last thing heard of a job, None for nothing."""

    def subscribe(self, heard: Callable[[str, str, JobStatus], None]) -> Callable[[], None]:
        """Call `heard(tenant, job_id, status)` from now on; returns what ends it."""
