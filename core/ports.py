"""Ports to the outside as synchronous, batch-first protocols; `index_port` has the index's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from core.errors import SeenitError
from core.fingerprint.keypoints import DetailKeypoints
from core.records import Entry, JobStatus
from core.types import Canonical, Fingerprint, Matrix, Space


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

    def taken(self, tenant: str, numbers: Sequence[int]) -> list[bool]:
        """Return for each number, in order, whether an entry has it."""

    def head(self, tenant: str, at_least: int = 0) -> int:
        """Return the highest number taken, 0 for none, by galloping from `at_least`."""

    def tenants(self) -> list[str]:
        """Return the tenants that have a log."""


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

    def depth(self, tenant: str | None = None) -> int:
        """Return how many jobs wait, of a tenant; of all, with those in hand.

        Raise QueueUnavailableError.
        """

    def mend(self) -> None:
        """Give a turn to tenants whose turn was lost. Raise QueueUnavailableError."""

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
