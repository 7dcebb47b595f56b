"""Ports to the outside as synchronous, batch-first protocols, which adapters implement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from PIL import Image

from core.errors import SeenitError
from core.fingerprint.keypoints import DetailKeypoints
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
        """Return an object's bytes. Raise MissingError if there is none."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return objects in the order of the keys, None where there is none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object in chunks of about 1 MB. Raise MissingError before the first one."""

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return whether each key holds an object, in the order of the keys."""

    def put(self, items: Sequence[tuple[str, bytes | Path]]) -> None:
        """Write or overwrite objects, durable (one flush for them all) on return."""

    def create(self, key: str, data: bytes) -> None:
        """Create an object durably; exactly one racing create wins. Raise ExistsError."""

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create objects, durable with one flush; return False where the key was taken."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a key without one is no error."""

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield keys under a folder-like prefix (ending in `/`), sorted, greater than `after`."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the non-empty folders directly below a prefix."""

    def modified(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Yield keys under a prefix with the time each was written, in epoch seconds."""

    def free(self) -> int | None:
        """Return the bytes left on the device, None where that means nothing."""


@runtime_checkable
class Log(Protocol):
    """One append-only log a tenant; entries are never changed or removed."""

    def read(self, tenant: str, seq: int) -> Entry | None:
        """Return an entry, None if none has that number. Raise CorruptError if it is unreadable."""

    def append(self, tenant: str, entry: Entry) -> None:
        """Create an entry. Raise ExistsError; after any other error the outcome is unknown."""

    def head(self, tenant: str, at_least: int = 0) -> int:
        """Return the highest number taken, 0 for none, by galloping from `at_least`."""

    def tenants(self) -> list[str]:
        """Return the tenants that have a log."""


class Neighbour(NamedTuple):
    """A stored picture near a query, with its similarity."""

    image_id: str
    similarity: float
    """Cosine, or for a keyword search the BM25 relevance (0 or above); larger is closer."""


class IndexPage(NamedTuple):
    """Part of a list, newest first by (accepted_at, image_id), and whether more follow."""

    records: list[Record]
    more: bool


class Filters(NamedTuple):
    """Conditions on a list or a search; None means any."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    """A record must have all of them."""
    verdict: str | None = None
    decision: tuple[str, ...] = ()
    """Decisions of which the record has one; empty means any."""
    owner_id: str | None = None
    external_id: str | None = None
    sha256: str | None = None
    original_id: str | None = None
    accepted_after: str | None = None
    accepted_before: str | None = None


class RecordCard(NamedTuple):
    """The part of a record that filters, groups and collapsing use, so that lists read no more."""

    image_id: str
    original: str
    """The record that stands for it: itself if it is no copy."""
    verdict: str
    decision: str
    category: str | None
    owner_id: str | None
    external_id: str | None
    sha256: str
    accepted_at: str
    tags: tuple[str, ...]
    spaces: tuple[str, ...]
    """The space_ids in which it has a vector of its own."""


class MissingVectors(NamedTuple):
    """Part of the records without a vector in some space."""

    states: list[State]
    place: int | None
    """The position where the rest begins; None at the end."""


class SpaceCoverage(NamedTuple):
    """Counts of vectors of one space; `missing` counts records that could have one."""

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
    """Counts of what the index holds, as of its watermark."""

    total: CategoryCount
    categories: dict[str, CategoryCount]
    watermark: int


class IndexRecords(Protocol):
    """Look-ups of records and jobs by id, and of records by digest or original."""

    def read_states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """Return states in the order of the ids, None for unknown and deleted ones."""

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """Return records in the order of the ids, None for unknown and deleted ones."""

    def read_cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """Return cards in the order of the ids, None for unknown and deleted ones."""

    def read_tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """Return tombstones in the order of the ids, None for records not deleted."""

    def read_vectors(
        self, tenant: str, space_id: str, image_ids: Sequence[str]
    ) -> list[Vector | None]:
        """Return each record's own (d,) vector of a space, in the order of the ids."""

    def read_outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return outcomes in the order of the ids, None for jobs unknown or not ended."""

    def find_states(
        self,
        tenant: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
        confirmed: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests, or copies of one of these originals.

        `confirmed` also finds the records that name one of these among their confirmed matches,
        whether as their original or not. Each once, in log order of acceptance; an original is no
        copy of itself.
        """


class IndexSearch(Protocol):
    """Candidates for a verdict, and the searches by vector and by keyword."""

    def find_candidates(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Return the anchors near each query from every source, cut only by the source's top.

        Several sources' hits of one anchor are one Hit. Purged anchors are included, closed ones
        left out, and the records in `without` as if they were not there: others take their places.
        """

    def find_neighbours(
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
        """Return exact or approximate nearest records of a space, best first.

        A record passes the filters by itself; where it has no vector of its own in that space,
        its original passes for it, except by `core.filters.ALLOWED`. Raise MalformedError for a
        vector of other dimensions than the space has.
        """

    def search_keywords(
        self,
        tenant: str,
        text: str,
        *,
        limit: int,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return records with any of a text's words, copies too, by BM25 relevance."""


class IndexLists(Protocol):
    """Lists of records and jobs part by part, and counts over all of them."""

    def list_records(
        self,
        tenant: str,
        filters: Filters,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> IndexPage:
        """Return records older than (accepted_at, image_id) `before` that pass every filter.

        `accepted_after` and `accepted_before` exclude the moment itself; `original_id` finds the
        copies of an original, not the original.
        """

    def list_variants(
        self, tenant: str, image_id: str, limit: int, before: tuple[str, str] | None = None
    ) -> list[State]:
        """Return the live records whose verdict names a picture as a variant, newest first.

        They are older than (accepted_at, image_id) `before`; fewer than `limit` are the last.
        """

    def list_outcomes(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Return ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""

    def list_unembedded(
        self, tenant: str, space_id: str, limit: int, after: int = -1
    ) -> MissingVectors:
        """Return records that could have a vector in a space and have none, in log order.

        A purged picture has no pixels to make a visual vector of; a record without title,
        description and tags has no words to make a caption vector of.
        """

    def list_values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Return the first `limit` different values that records have, sorted."""

    def count_records(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Return counts as of W; `spaces` are counted also where no record has a vector in them."""


class IndexProjection(Protocol):
    """The log written into the index, entry by entry, and how far that has come."""

    def watermark(self, tenant: str) -> int:
        """Return W: every entry up to it is visible on every replica. 0 for an unknown tenant."""

    def active_spaces(self, tenant: str) -> Mapping[SpaceKind, ActiveSpaces]:
        """Return the spaces of each kind, as far as the log speaks of them."""

    def project_entry(
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

        `seq` is W + 1, else nothing is written: the entry was projected before. Raise
        IndexUnavailableError while a replica is away.
        """


@runtime_checkable
class Index(IndexRecords, IndexSearch, IndexLists, IndexProjection, Protocol):
    """A projection of the log: it can be rebuilt from the log at any time.

    Reads may lag behind `project_entry`; the highest seq of a record wins, a tombstone stays. Every
    method raises IndexUnavailableError.
    """


@runtime_checkable
class ServiceIndex(Index, Protocol):
    """An index as a service holds it: checked, closed, and replaced by one rebuilt beside it."""

    def tenants(self) -> list[str]:
        """Return the tenants that have a watermark, sorted."""

    def check_replicas(self) -> None:
        """Raise IndexUnavailableError if a replica is down: reads work, but W cannot advance."""

    def fresh(self) -> ServiceIndex:
        """Create an empty index beside this one; drop what an earlier one left."""

    def swap(self, fresh: Index) -> bool:
        """Serve what `fresh` holds: every reader sees all of the old index or all of the new.

        Return False, with nothing changed, if `fresh` lags behind a watermark that was reported:
        bring it up and call again at once, for nothing is projected for some seconds. If that added
        nothing, `fresh` has all that the log holds, and is taken. The caller closes `fresh`, also
        afterwards. Raise IndexUnavailableError; then the old one stays.
        """

    def close(self) -> None:
        """Close files and connections."""


@runtime_checkable
class TextEmbedder(Protocol):
    """An embedder of texts into one space of unit vectors."""

    @property
    def space(self) -> Space:
        """Return the model's space. Raise EmbedderUnavailableError if there is no model."""

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """Return (n, d) float32 unit vectors in input order; urgent calls go first.

        Texts are cut at the model's limit. Raise EmbedderUnavailableError.
        """

    def load(self) -> None:
        """Load the model once; a failure is reported in `absent`, not raised."""

    @property
    def absent(self) -> str | None:
        """Return why there is no model, None if there is one."""


@runtime_checkable
class Embedder(TextEmbedder, Protocol):
    """An embedder of pictures and texts into one space of unit vectors."""

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:
        """Return (n, d) float32 unit vectors in input order; urgent calls go first.

        Raise EmbedderUnavailableError.
        """


@runtime_checkable
class Decoder(Protocol):
    """A decoder and fingerprinter of hostile bytes outside this process."""

    def fingerprint(
        self, items: Sequence[bytes], *, urgent: bool = False
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """Return results in input order, an error for bytes not decoded; urgent calls go first."""


@runtime_checkable
class KeypointExtractor(Protocol):
    """An extractor of the keypoints of stored previews outside this thread."""

    def keypoints(
        self, previews: Sequence[bytes], *, urgent: bool = False
    ) -> list[DetailKeypoints | SeenitError]:
        """Return results in input order, an error for one not extracted; urgent calls go first."""


@runtime_checkable
class Queue(Protocol):
    """A queue of jobs for workers. It may lose jobs: the sweeper enqueues them again."""

    def enqueue(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Enqueue jobs, each (tenant, job_id). Raise QueueUnavailableError."""

    def depth(self) -> int:
        """Return the number of waiting jobs. Raise QueueUnavailableError."""

    def check_writable(self) -> None:
        """Raise QueueUnavailableError, with the reason, if nothing can be enqueued."""


@runtime_checkable
class Progress(Protocol):
    """A channel of job statuses from workers to the API: lossy by design, the log is the truth."""

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Publish the status that these jobs reached."""

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """Return a job's last published status, None if there is none."""

    def subscribe(self, heard: Callable[[str, str, JobStatus], None]) -> Callable[[], None]:
        """Call `heard(tenant, job_id, status)` for each status; return what unsubscribes."""
