"""Private service for one evaluation: in this process, in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable
from uuid import uuid4

from adapters import settings
from adapters.wiring import Services, build
from core.embedding.pipeline import Digests, digests
from core.errors import SeenitError
from core.ingest.accept import Upload
from core.matching.candidates import fuse
from core.matching.policy import Policy
from core.records import Fields, Job, Operation
from core.types import Candidates, Limits, Query, Verdict
from evaluation.instance import StoredPicture

TENANT = "default"


@runtime_checkable
class Drops(Protocol):
    """Index outside of this process, with a schema to drop."""

    def drop(self) -> None:
        """Drop the schema, and leave nothing."""


class ScratchService:
    """Service without its doors: accepts, settles and checks at once."""

    def __init__(self, services: Services, policy: Policy, folder: Path) -> None:
        self._services = services
        self._policy = policy
        self._folder = folder
        self._perceiver = services.perceiver

    @property
    def model(self) -> str:
        """Return the model of the visual space, or the reason why there is none."""
        visual = self._services.visual
        return visual.absent or visual.space.model

    @property
    def limits(self) -> Limits:
        """Return the limits within which the service decodes."""
        return self._services.settings.limits

    def ingest(self, items: Sequence[bytes]) -> list[StoredPicture]:
        """Ingest at most 64 pictures and settle them in this order."""
        uploads = [self._upload(number, data) for number, data in enumerate(items)]
        return self._settled(self._services.acceptor.uploads(TENANT, uploads, Fields()).items)

    def _settled(self, accepted: Sequence[Job | SeenitError]) -> list[StoredPicture]:
        """Settle accepted uploads in this order."""
        jobs = [one for one in accepted if isinstance(one, Job)]
        operations = self._services.ingest.run(TENANT, [job.job_id for job in jobs])
        settled = dict(zip((job.job_id for job in jobs), operations, strict=True))
        return [
            StoredPicture("", None, None, one.detail)
            if isinstance(one, SeenitError)
            else _stored(one, settled[one.job_id])
            for one in accepted
        ]

    def check(self, data: bytes) -> Verdict:
        """Return the verdict for a picture. Raise an InputError."""
        return self._services.checker.check(TENANT, data)[0]

    def near(self, data: bytes) -> Candidates:
        """Return the candidates for a picture. Raise an InputError."""
        (decoded,) = self._perceiver.decode([data], [Digests(sha256="", md5="")])
        if isinstance(decoded, SeenitError):
            raise decoded
        (perceived,) = self._perceiver.embed(TENANT, [decoded])
        query: Query = perceived.query("asking")
        return fuse(self._services.index.find_candidates(TENANT, [query])[0], self._policy)

    def ban(self, image_id: str) -> None:
        """Decide as a person that a picture is blocked, and settle it."""
        job = self._services.acceptor.operate(TENANT, "decide", image_id, value="block")
        self._services.ingest.run(TENANT, [job.job_id])

    def is_blocked(self, image_id: str) -> bool:
        """Return whether the decision on a picture is now `block`."""
        decision = self._services.reader.record(TENANT, image_id).record.state.decision
        return decision is not None and decision.value == "block"

    def _upload(self, number: int, data: bytes) -> Upload:
        path = self._folder / f"upload-{number}"
        path.write_bytes(data)
        hashed = digests(data)
        return Upload(
            path=path,
            filename=None,
            sha256=hashed.sha256,
            md5=hashed.md5,
            bytes=len(data),
        )


@contextmanager
def services(
    model: str | None, caption_model: str | None = None, index: str | None = None
) -> Iterator[tuple[Services, Path]]:
    """Open empty services by the settings of the environment, and a temporary folder.

    `index` is the URL of a Weaviate, in which a temporary schema is made.
    """
    with tempfile.TemporaryDirectory(prefix="seenit-evaluate-") as name:
        folder = Path(name)
        file = folder / "data" / "index.sqlite"
        read = settings.load(
            data=folder / "data",
            blobs_url=(folder / "data" / "blobs").as_uri(),
            index_url=index or file.as_uri().replace("file:", "sqlite:", 1),
            index_prefix=f"Evaluate{uuid4().hex[:8]}",
            broker_url="memory://",
            durable=False,
            model=model,
            caption_model=caption_model,
            log_level="warning",
        )
        uploads = folder / "uploads"
        uploads.mkdir()
        made = build(read)
        try:
            yield made, uploads
        finally:
            if isinstance(made.index, Drops):
                made.index.drop()
            made.close()


@contextmanager
def private(
    policy: Policy, model: str | None, index: str | None = None
) -> Iterator[ScratchService]:
    """Open an empty service by the settings of the environment; remove all it wrote at the end."""
    with services(model, "none", index) as (made, uploads):
        made.visual.load()
        yield ScratchService(made, policy, uploads)


def _stored(job: Job, operation: Operation | None) -> StoredPicture:
    if operation is None:
        return StoredPicture(job.image_id, None, None, "it was not settled")
    for state in operation.states:
        if state.image_id == job.image_id:
            return StoredPicture(job.image_id, state.verdict, state.decision)
    reason = operation.problem.detail if operation.problem else operation.kind
    return StoredPicture(job.image_id, None, None, reason)
