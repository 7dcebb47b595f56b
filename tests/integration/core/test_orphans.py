"""Leftovers of killed processes, of pictures that are gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import wiring
from adapters.event_log import BlobLog
from adapters.settings import Settings
from core import keys
from core.ingest import orphans
from core.ingest.accept import Upload
from core.ingest.orphans import WAIT_SECONDS, Leftovers
from core.records import Entry, Fields
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


def test_what_a_dead_worker_wrote_after_a_delete_or_purge_goes_in_hours(
    services: wiring.Services, tmp_path: Path
) -> None:
    """No message comes again; each entry is read once, and a quiet log costs one look."""
    blobs = services.blobs
    deleted, purged, stored, hidden = (accept(services, tmp_path) for _ in range(4))
    services.ingest.run("t", [deleted, purged, stored, hidden])
    operate = services.acceptor.operate
    for job in (
        operate("t", "delete", deleted),
        operate("t", "purge", purged),
        operate("t", "decide", hidden, value="block"),
        operate("t", "delete", hidden, erasure="hide"),
    ):
        services.ingest.run("t", [job.job_id])
    left = [
        keys.kept("t", deleted),
        keys.vector("t", deleted, "visual-00000000", None),
        keys.fields("t", hidden, "late"),
        keys.vector("t", hidden, "visual-00000000", None),
        *(keys.derived("t", one, "preview") for one in (deleted, purged, hidden)),
    ]
    kept = [keys.kept("t", purged), keys.kept("t", hidden), keys.derived("t", stored, "preview")]
    blobs.put([(key, b"{}") for key in left])
    clock = [0.0]
    read: list[int] = []

    class Counted(BlobLog):
        def read(self, tenant: str, seq: int) -> Entry | None:
            read.append(seq)
            return super().read(tenant, seq)

    def leftovers() -> Leftovers:
        projector, shelf = services.projector, services.shelf
        log = Counted(blobs)
        return Leftovers(blobs, log, projector.marked, shelf.revisit, now=lambda: clock[0])

    sweeper = leftovers()
    assert sweeper.sweep() == 0
    assert all(blobs.exists(left)), "their writer may still run"
    assert sweeper.sweep() == 0
    assert leftovers().sweep() == 0
    clock[0] += WAIT_SECONDS
    read.clear()
    assert sweeper.sweep() == 5 + 3
    assert (blobs.exists(left), blobs.exists(kept)) == ([False] * 7, [True] * 3)
    assert read == [1, 2, 3, 4, 5]
    clock[0] += WAIT_SECONDS
    assert leftovers().sweep() == 0
    assert read == [1, 2, 3, 4, 5, 6]


def test_leftovers_are_removed_in_parts(
    services: wiring.Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call reads so much, the next goes on, and a log that cannot be read stops no other."""
    ids = [accept(services, tmp_path) for _ in range(4)]
    for image_id in ids:
        services.ingest.run("t", [image_id])
    services.ingest.run("t", [services.acceptor.operate("t", "delete", ids[0]).job_id])
    services.blobs.put([(keys.kept("t", ids[0]), b"{}"), (keys.entry("a", 1), b"no entry")])
    clock = [0.0]
    sweeper = Leftovers(
        services.blobs,
        services.log,
        services.projector.marked,
        services.shelf.revisit,
        now=lambda: clock[0],
    )
    monkeypatch.setattr(orphans, "LOG_PART", 4)
    assert sweeper.sweep() == 0
    clock[0] += WAIT_SECONDS
    assert sweeper.sweep() == 4
    assert services.blobs.exists([keys.kept("t", ids[0])]) == [True]
    clock[0] += orphans.SOON_SECONDS
    assert sweeper.sweep() == 2
    assert services.blobs.exists([keys.kept("t", ids[0])]) == [False]
