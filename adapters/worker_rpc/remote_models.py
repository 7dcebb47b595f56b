"""Models that live in workers: what an API asks instead of having them."""

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
"""Stands for the model of the worker's own settings: the API's may name another."""
SPACE_SECONDS = 1.5
"""A space is told at once or nobody is there; readiness has two seconds in all."""
FRESH_SECONDS = 5.0
"""For so long what workers said of a model, or that none answered, is not asked again."""


class ModelReport(Struct, frozen=True):
    """Of one model: its space, or why there is none."""

    space: Space | None = None
    absent: str = ""


class VectorsReply(Struct, frozen=True):
    """Rows of a matrix of float32, little-endian, and the space they lie in."""

    space: Space
    rows: str
    """In base64."""

    @classmethod
    def of(cls, space: Space, matrix: Matrix) -> VectorsReply:
        """Pack them."""
        data = np.ascontiguousarray(matrix, "<f4").tobytes()
        return cls(space, base64.b64encode(data).decode("ascii"))

    def matrix(self) -> Matrix:
        """(n, d) float32."""
        data = np.frombuffer(base64.b64decode(self.rows), "<f4")
        return data.reshape(-1, self.space.dimensions).astype(np.float32)


class CheckReply(Struct, frozen=True):
    """What a picture would be told."""

    verdict: Verdict
    decision: Decision


class RemoteModels:
    """What workers say of their models, asked for at most once in some seconds a model."""

    def __init__(self, calls: RPCClient) -> None:
        self.calls = calls
        self._known: dict[tuple[SpaceKind, str], tuple[float, ModelReport]] = {}
        self._breaker = CircuitBreaker(
            WorkerUnavailableError, first=FRESH_SECONDS, longest=FRESH_SECONDS
        )
        self._lock = threading.Lock()

    def told(self, kind: SpaceKind, source: str) -> ModelReport:
        """Of a model. A space that is known stays known: a worker that has another says so."""
        with self._lock:
            at, known = self._known.get((kind, source), (float("-inf"), ModelReport()))
        if known.space is not None or time.monotonic() - at < FRESH_SECONDS:
            return known
        try:
            return self._ask({kind: source})[kind]
        except UnavailableError as error:
            return ModelReport(absent=error.detail)

    def parts(self) -> dict[SpaceKind, ModelReport]:
        """Of the workers' own models, as of the last few seconds.

        Raise WorkerUnavailableError, QueueUnavailableError where nobody answers.
        """
        with self._lock:
            held = {kind: self._known.get((kind, OWN)) for kind in SPACE_KINDS}
        now = time.monotonic()
        fresh = {kind: one[1] for kind, one in held.items() if one and now - one[0] < FRESH_SECONDS}
        return (
            fresh if len(fresh) == len(SPACE_KINDS) else self._ask(dict.fromkeys(SPACE_KINDS, OWN))
        )

    def note(self, kind: SpaceKind, source: str, told: ModelReport) -> None:
        """Take down what was heard of a model."""
        with self._lock:
            self._known[kind, source] = time.monotonic(), told

    def _ask(self, sources: Mapping[SpaceKind, str]) -> dict[SpaceKind, ModelReport]:
        with self._breaker.guard():
            told = self.calls.ask(
                SPACE_TASK,
                {"sources": sources},
                dict[SpaceKind, ModelReport],
                seconds=SPACE_SECONDS,
            )
        for kind, source in sources.items():
            self.note(kind, source, told[kind])
        return told


class RemoteTextEmbedder:
    """Port TextEmbedder over a worker's model."""

    def __init__(self, remote: RemoteModels, kind: SpaceKind, source: str = OWN) -> None:
        self._remote = remote
        self._kind: SpaceKind = kind
        self._source = source

    @property
    def space(self) -> Space:
        """As workers tell it. Raise EmbedderUnavailableError."""
        told = self._remote.told(self._kind, self._source)
        if told.space is None:
            raise EmbedderUnavailableError(told.absent)
        return told.space

    @property
    def absent(self) -> str | None:
        """Why there is no model, as workers tell it, or that no worker answers."""
        told = self._remote.told(self._kind, self._source)
        return None if told.space is not None else told.absent

    def load(self) -> None:
        """Ask what space it has; it is loaded elsewhere."""
        self._remote.told(self._kind, self._source)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - who asks a worker is waiting
        """(n, d) float32, in input order. Raise EmbedderUnavailableError."""
        asked = self.space
        arguments = {"kind": self._kind, "source": self._source, "texts": list(texts)}
        try:
            came = self._remote.calls.ask(EMBED_TASK, arguments, VectorsReply)
        except UnavailableError as error:
            raise EmbedderUnavailableError(error.detail) from error
        self._remote.note(self._kind, self._source, ModelReport(came.space))
        if came.space.space_id != asked.space_id:
            raise EmbedderUnavailableError(f"the model was changed to {came.space.model} meanwhile")
        return came.matrix()


class RemoteEmbedder(RemoteTextEmbedder):
    """Port Embedder over a worker's model: texts are sent to it, pictures it reads by itself."""

    def __init__(self, remote: RemoteModels, source: str = OWN) -> None:
        super().__init__(remote, "visual", source)

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Raise EmbedderUnavailableError: pictures do not travel."""
        raise EmbedderUnavailableError("pictures are embedded by workers alone")


class RemoteEmbedderFactory:
    """Embedders by the names of the models that workers are to open."""

    def __init__(self, remote: RemoteModels) -> None:
        self._remote = remote

    def visual(self, source: str) -> RemoteEmbedder:
        """Of pictures and texts."""
        return RemoteEmbedder(self._remote, source)

    def caption(self, source: str) -> RemoteTextEmbedder:
        """Of texts alone."""
        return RemoteTextEmbedder(self._remote, "caption", source)


class RemotePictureLoader:
    """Has workers look at pictures that are not stored: each lies in the store meanwhile."""

    def __init__(
        self, remote: RemoteModels, blobs: Blobs, limits: Limits, new_id: Callable[[], str]
    ) -> None:
        self._remote = remote
        self._blobs = blobs
        self._limits = limits
        self._new_id = new_id

    def check(self, tenant: str, data: bytes | Path) -> tuple[Verdict, Decision]:
        """Verdict and the decision it would get.

        Raise an InputError for a bad file, WorkerUnavailableError, QueueUnavailableError,
        StoreUnavailableError.
        """
        with self._lying(tenant, data) as arguments:
            told = self._remote.calls.ask(CHECK_TASK, arguments, CheckReply)
        return told.verdict, told.decision

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """The tenant's active visual space, and its vector there.

        Raise EmbedderUnavailableError, WorkerUnavailableError, and an InputError for a bad file.
        """
        with self._lying(tenant, data) as arguments:
            seen = self._remote.calls.ask(SEE_TASK, arguments, VectorsReply)
        return seen.space.space_id, np.asarray(seen.matrix()[0], np.float32)

    @contextmanager
    def _lying(self, tenant: str, data: bytes | Path) -> Iterator[dict[str, str]]:
        """A picture in the store, as a worker is told of it. Its header is looked at first."""
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
            with suppress(StoreUnavailableError):  # then it is swept
                self._blobs.delete([key])
