"""An API and a worker of one service over a real Redis; the worker may be away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core import keys
from core.embedding.pipeline import digests
from core.ingest.accept import Upload
from core.records import Fields, Job
from core.types import Matrix, Space
from tests.doubles.toy_embedder import ToyEmbedder
from tests.doubles.toys import ToyCaptions
from tests.e2e.talking import until
from worker.worker import Worker

TENANT = "default"


class Slow(ToyEmbedder):
    """An embedder that pauses over texts for a test, and may be another model."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.model = "toy"
        self.asked: list[str] = []

    @property
    def space(self) -> Space:
        """Return a space of its own for each model."""
        known = super().space
        digit = f"{len(self.model):08x}"
        return Space(f"visual-{digit}", "visual", self.model, known.dimensions, known.similar_at)

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """Embed after a pause of `seconds`."""
        self.asked += texts
        time.sleep(self.seconds)
        return super().embed_texts(texts, urgent=urgent)


class Pair:
    """An API and a worker of one service; the worker may be away."""

    def __init__(self, folder: Path, broker: str, **settings: Any) -> None:  # noqa: ANN401  # any
        blobs, index = (folder / "blobs").as_uri(), folder / "index.sqlite"
        self.read = Settings(
            data=folder / "data",
            blobs_url=blobs,
            index_url=index.as_uri().replace("file:", "sqlite:", 1),
            broker_url=broker,
            durable=False,
            decoders=1,
            **settings,
        )
        self.visual = Slow()
        self.api = wiring.build(self.read, role="api")
        self.work: Services | None = None
        self._worker: Worker | None = None

    def start(self) -> Services:
        """Have a worker, and give what it is made of."""
        self.work = wiring.build(
            self.read, role="worker", visual=self.visual, caption=ToyCaptions()
        )
        self._worker = Worker(self.work)
        self._worker.start()
        until(lambda: self._worker is not None and self._worker.ready)
        return self.work

    def stop(self) -> None:
        """Close the worker, if one runs."""
        if self._worker is not None:
            self._worker.close()
        if self.work is not None:
            self.work.close()
        self._worker = self.work = None

    def ingest(self, data: bytes, folder: Path, **said: str) -> str:
        """Upload a picture, settle it, and wait for the index to have it."""
        path = folder / "upload"
        path.write_bytes(data)
        made = digests(data)
        upload = Upload(path=path, filename=None, sha256=made.sha256, md5=made.md5, bytes=len(data))
        (job,) = self.api.acceptor.uploads(TENANT, [upload], Fields(**said)).items
        assert isinstance(job, Job)
        until(lambda: self.api.jobs.ended(TENANT, [job.job_id]) == ["done"])
        until(lambda: self.api.follower.tail(TENANT).lag == 0)  # only then is it searched
        return job.image_id

    def close(self) -> None:
        """Let go of all of it."""
        self.stop()
        self.api.close()


@contextmanager
def pair(folder: Path, broker: str, **settings: Any) -> Iterator[Pair]:  # noqa: ANN401  # any
    """Yield a pair, and close it however the block ends."""
    made = Pair(folder, broker, **settings)
    try:
        yield made
    finally:
        made.close()


def left(services: Services) -> list[str]:
    """Return the keys of the query pictures that lie about."""
    return [key for key, _ in services.blobs.modified(keys.ASKED)]


def counted(services: Services, **labels: str) -> float:
    """Return how many questions a worker took."""
    return services.meter.registry.get_sample_value("seenit_queries_total", labels) or 0.0
