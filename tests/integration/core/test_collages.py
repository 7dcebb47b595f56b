"""A collage of two photos through the whole service: both are found, and either blocks it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core import keys
from core.ingest.accept import Upload
from core.records import Fields, Job, State
from core.types import Value
from tests.samples.pictures import jpeg, photo

TENANT = "default"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Yield all services in one process, with nothing running."""
    built = wiring.build(Settings(data=tmp_path, model="none", caption_model="none", durable=False))
    yield built
    built.close()


def ingested(services: Services, folder: Path, picture: Image.Image) -> State:
    """Upload a picture and return its settled state."""
    data = jpeg(picture)
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    path = folder / sha256
    path.write_bytes(data)
    upload = Upload(path=path, filename=None, sha256=sha256, md5=md5, bytes=len(data))
    (job,) = services.acceptor.uploads(TENANT, [upload], Fields()).items
    assert isinstance(job, Job)
    services.ingest.run(TENANT, [job.job_id])
    return now(services, job.image_id)


def now(services: Services, image_id: str) -> State:
    """Return the state of a record."""
    (state,) = services.index.read_states(TENANT, [image_id])
    assert state is not None
    return state


def decided(services: Services, image_id: str, value: Value) -> None:
    """Settle a person's decision."""
    job = Job(
        job_id=f"{value}-{image_id}",
        tenant=TENANT,
        image_id=image_id,
        kind="decide",
        accepted_at="2026-01-01T00:00:00.000Z",
        value=value,
    )
    services.blobs.create_many([(keys.pending(TENANT, job.job_id), msgspec.json.encode(job))])
    services.ingest.run(TENANT, [job.job_id])


def test_a_banned_photo_beside_an_older_allowed_one_is_blocked(
    services: Services, tmp_path: Path
) -> None:
    """In a collage from before the ban and in one from after it, until the ban is lifted."""
    photos = [photo(seed, 640, 480) for seed in (1, 2)]
    collage = Image.new("RGB", (1300, 490), "white")
    for n, one in enumerate(photos):
        collage.paste(one, (5 + 650 * n, 5))
    older, banned = (ingested(services, tmp_path, one) for one in photos)
    before = ingested(services, tmp_path, collage)
    assert list(before.confirmed) == [older.image_id, banned.image_id]
    decided(services, banned.image_id, "block")
    after = ingested(services, tmp_path, collage.resize((975, 368)))
    for one in (before, after):
        found = now(services, one.image_id)
        assert (found.verdict.original, found.decision.value) == (older.image_id, "block")
    decided(services, banned.image_id, "allow")
    values = [now(services, one.image_id).decision.value for one in (before, after)]
    assert values == [before.decision.value] * 2
