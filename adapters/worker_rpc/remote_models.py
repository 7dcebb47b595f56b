"""Clients of the models in workers, for an API and a beat, which have none."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from msgspec import Struct
from PIL import Image

from adapters.worker_rpc.rpc import RPCClient
from core import keys
from core.circuit_breaker import CircuitBreaker
from core.errors import (
    EmbedderUnavailableError,
    StoreUnavailableError,
    TooLargeError,
    UnavailableError,
    WorkerUnavailableError,
)
from core.imaging.decoding import inspect
from core.ports import Blobs
from core.task_names import CHECK_TASK, EMBED_TASK, SEE_TASK, SPACE_TASK
from core.types import SPACE_KINDS, Decision, Limits, Matrix, Space, SpaceKind, Vector, Verdict

OWN = ""
"""Name of the model of the worker's own settings; the API's may name another."""
SPACE_SECONDS = 1.5
"""Timeout of a report: workers answer at once, and readiness has two seconds in all."""
FRESH_SECONDS = 5.0
"""Seconds for which a report, or the absence of workers, is cached."""


class ModelReport(Struct, frozen=True):
    """Space of a model, or the reason why there is none."""

    space: Space | None = None
    absent: str = ""


class VectorsReply(Struct, frozen=True):
    """Rows of a matrix of float32, little-endian, and the space they lie in."""

    space: Space
    rows: str
    """Bytes of the rows in base64."""

    @classmethod
    def of(cls, space: Space, matrix: Matrix) -> VectorsReply:
        """Encode an (n, d) matrix."""
        data = np.ascontiguousarray(matrix, "<f4").tobytes()
        return cls(space, base64.b64encode(data).decode("ascii"))

    def matrix(self) -> Matrix:
        """Decode the rows to (n, d) float32."""
        data = np.frombuffer(base64.b64decode(self.rows), "<f4")
        return data.reshape(-1, self.space.dimensions).astype(np.float32)


class CheckReply(Struct, frozen=True):
    """Verdict and decision that a picture would get."""

    verdict: Verdict
    decision: Decision


class RemoteModels:
    """Cached reports of workers on their models."""

    def __init__(self, calls: RPCClient) -> None:
        self.calls = calls
        self._known: dict[tuple[SpaceKind, str], tuple[float, ModelReport]] = {}
        self._breaker = CircuitBreaker(
            WorkerUnavailableError, first=FRESH_SECONDS, longest=FRESH_SECONDS
        )
        self._lock = threading.Lock()

    def report(self, kind: SpaceKind, source: str) -> ModelReport:
        """Return the report on a model, `absent` if no worker answers.

        A known space is kept: a worker whose model differs sends its own with each reply.
        """
        with self._lock:
            at, known = self._known.get((kind, source), (float("-inf"), ModelReport()))
        if known.space is not None or time.monotonic() - at < FRESH_SECONDS:
            return known
        try:
            return self._fetch({kind: source})[kind]
        except UnavailableError as error:
            return ModelReport(absent=error.detail)

    def parts(self) -> dict[SpaceKind, ModelReport]:
        """Return the reports on the workers' own models, at most FRESH_SECONDS old.

        Raise WorkerUnavailableError, QueueUnavailableError if no worker answers.
        """
        with self._lock:
            held = {kind: self._known.get((kind, OWN)) for kind in SPACE_KINDS}
        now = time.monotonic()
        fresh = {kind: one[1] for kind, one in held.items() if one and now - one[0] < FRESH_SECONDS}
        return (
            fresh
            if len(fresh) == len(SPACE_KINDS)
            else self._fetch(dict.fromkeys(SPACE_KINDS, OWN))
        )

    def note(self, kind: SpaceKind, source: str, report: ModelReport) -> None:
        """Cache the report on a model."""
        with self._lock:
            self._known[kind, source] = time.monotonic(), report

    def _fetch(self, sources: Mapping[SpaceKind, str]) -> dict[SpaceKind, ModelReport]:
        with self._breaker.guard():
            reports = self.calls.ask(
                SPACE_TASK,
                {"sources": sources},
                dict[SpaceKind, ModelReport],
                seconds=SPACE_SECONDS,
            )
        for kind, source in sources.items():
            self.note(kind, source, reports[kind])
        return reports


class RemoteTextEmbedder:
    """Implementation of the port `TextEmbedder` by a worker's model."""

    def __init__(self, remote: RemoteModels, kind: SpaceKind, source: str = OWN) -> None:
        self._remote = remote
        self._kind: SpaceKind = kind
        self._source = source

    @property
    def space(self) -> Space:
        """Space of the model, by the workers' report. Raise EmbedderUnavailableError."""
        report = self._remote.report(self._kind, self._source)
        if report.space is None:
            raise EmbedderUnavailableError(report.absent)
        return report.space

    @property
    def absent(self) -> str | None:
        """Reason why there is no model, by the workers' report; None if there is one."""
        report = self._remote.report(self._kind, self._source)
        return None if report.space is not None else report.absent

    def load(self) -> None:
        """Fetch the report on the model, which workers load."""
        self._remote.report(self._kind, self._source)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - all calls are urgent
        """Return (n, d) float32 in input order. Raise EmbedderUnavailableError."""
        space = self.space
        arguments = {"kind": self._kind, "source": self._source, "texts": list(texts)}
        try:
            reply = self._remote.calls.ask(EMBED_TASK, arguments, VectorsReply)
        except UnavailableError as error:
            raise EmbedderUnavailableError(error.detail) from error
        self._remote.note(self._kind, self._source, ModelReport(reply.space))
        if reply.space.space_id != space.space_id:
            raise EmbedderUnavailableError(
                f"the model was changed from {space.model} to {reply.space.model} meanwhile; retry"
            )
        return reply.matrix()


class RemoteEmbedder(RemoteTextEmbedder):
    """Implementation of the port `Embedder` by a worker's model, for texts alone."""

    def __init__(self, remote: RemoteModels, source: str = OWN) -> None:
        super().__init__(remote, "visual", source)

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError: pictures are not sent to workers."""
        raise EmbedderUnavailableError("pictures are embedded only within workers")


class RemoteEmbedderFactory:
    """Factory of embedders that use a model of the workers, by its name."""

    def __init__(self, remote: RemoteModels) -> None:
        self._remote = remote

    def visual(self, source: str) -> RemoteEmbedder:
        """Return the embedder of pictures and texts."""
        return RemoteEmbedder(self._remote, source)

    def caption(self, source: str) -> RemoteTextEmbedder:
        """Return the embedder of texts alone."""
        return RemoteTextEmbedder(self._remote, "caption", source)


class RemotePictureLoader:
    """Client of checks and embeddings of new pictures; each is put in the blob store meanwhile."""

    def __init__(
        self, remote: RemoteModels, blobs: Blobs, limits: Limits, new_id: Callable[[], str]
    ) -> None:
        self._remote = remote
        self._blobs = blobs
        self._limits = limits
        self._new_id = new_id

    def check(self, tenant: str, data: bytes | Path) -> tuple[Verdict, Decision]:
        """Return the verdict and the decision that a picture would get.

        Raise an InputError for a bad file, WorkerUnavailableError, QueueUnavailableError,
        StoreUnavailableError.
        """
        with self._stored(tenant, data) as arguments:
            reply = self._remote.calls.ask(CHECK_TASK, arguments, CheckReply)
        return reply.verdict, reply.decision

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """Return the tenant's active visual space, and the (d,) float32 vector of a picture there.

        Raise EmbedderUnavailableError, WorkerUnavailableError, and an InputError for a bad file.
        """
        with self._stored(tenant, data) as arguments:
            reply = self._remote.calls.ask(SEE_TASK, arguments, VectorsReply)
        return reply.space.space_id, np.asarray(reply.matrix()[0], np.float32)

    @contextmanager
    def _stored(self, tenant: str, data: bytes | Path) -> Iterator[dict[str, str]]:
        """Check a picture's header, store it for the block, and yield a task's arguments."""
        if isinstance(data, Path):
            data = data.read_bytes()
        if len(data) > self._limits.bytes:
            raise TooLargeError(f"the file is over {self._limits.bytes} bytes")
        inspect(data, self._limits)
        asked_id = self._new_id()
        key = keys.asked(tenant, asked_id)
        self._blobs.put([(key, data)])
        try:
            yield {"tenant": tenant, "asked_id": asked_id}
        finally:
            with suppress(StoreUnavailableError):  # the sweeper removes it later
                self._blobs.delete([key])
