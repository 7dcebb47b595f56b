"""Leftovers of killed processes, of pictures that are gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import wiring
from adapters.settings import Settings
from core import keys
from core.ingest.accept import Upload
from core.records import Fields
from tests.samples.pictures import photo, png


@pytest.fixture
def services(tmp_path: Path) -> Iterator[wiring.Services]:
    """Yield the whole service, without a running engine."""
    made = wiring.build(Settings(data=tmp_path, model="none", durable=False, decoders=1))
    yield made
    made.close()


def accept(services: wiring.Services, folder: Path, *, keep_bytes: bool = True) -> str:
    """Accept an upload, and return its id."""
    data = png(photo(1, 96, 64))
    path = folder / "upload.png"
    path.write_bytes(data)
    upload = Upload(
        path=path,
        filename="a.png",
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes=len(data),
    )
    (job,) = services.acceptor.uploads("t", [upload], Fields(), keep_bytes=keep_bytes).items
    assert not isinstance(job, Exception)
    return job.image_id


def test_what_a_killed_worker_wrote_of_a_deleted_picture_goes(
    services: wiring.Services, tmp_path: Path
) -> None:
    """It died between writing and looking for the tombstone; its message comes again one day."""
    image_id = accept(services, tmp_path)
    delete = services.acceptor.operate("t", "delete", image_id)
    services.ingest.run("t", [delete.job_id])
    assert not list(services.blobs.keys("pending/t/"))
    written = keys.derived("t", image_id, "preview"), keys.fields("t", image_id, image_id)
    services.blobs.put([(key, b"{}") for key in written])
    services.ingest.run("t", [image_id])
    assert services.blobs.exists(written) == [False, False]


def test_bytes_that_a_repeat_brought_back_are_discarded_again(
    services: wiring.Services, tmp_path: Path
) -> None:
    """The repeat had checked whether its jobs have ended just before they did."""
    first, second = accept(services, tmp_path), accept(services, tmp_path, keep_bytes=False)
    key = keys.pending("t", second)
    promised = services.blobs.get(key)
    services.ingest.run("t", [first, second])
    assert services.reader.record("t", second).record.state.content == "discarded"
    services.blobs.put([(keys.blob("t", second), b"bytes"), (key, promised)])
    services.ingest.run("t", [second])
    left = [keys.blob("t", first), keys.blob("t", second), key]
    assert services.blobs.exists(left) == [True, False, False]
