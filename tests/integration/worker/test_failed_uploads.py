"""An upload that is set aside ends as failed, keeps its bytes, and may be tried again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.settings import Settings
from adapters.wiring import Services, build
from core.ingest.accept import Upload
from core.records import Fields, Job
from tests.samples.pictures import jpeg, photo


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Yield all services in one process, with nothing running."""
    built = build(Settings(data=tmp_path, model="none", caption_model="none", durable=False))
    yield built
    built.close()


def accepted(services: Services, folder: Path) -> Job:
    """Accept one made photo, and return the id of its pending job."""
    data = jpeg(photo(1, 160, 120), 90)
    path = folder / "upload"
    path.write_bytes(data)
    upload = Upload(
        path=path,
        filename="a.jpg",
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),
        bytes=len(data),
    )
    (job,) = services.acceptor.uploads("default", [upload], Fields()).items
    assert isinstance(job, Job)
    return job


def test_an_upload_that_is_set_aside_can_be_tried_again(services: Services, tmp_path: Path) -> None:
    """Nothing of it is looked at; its retry is a job of its own, which settles it."""
    job = accepted(services, tmp_path)
    services.ingest.set_aside("default", job.job_id)
    services.ingest.set_aside("default", job.job_id)  # delivered twice
    (outcome,) = services.index.read_outcomes("default", [job.job_id])
    assert outcome is not None
    assert outcome.problem is not None
    assert (outcome.problem.type, outcome.problem.status) == ("set-aside", 422)
    assert list(services.blobs.keys("pending/default/")) == []
    again = services.acceptor.retry("default", job.job_id)
    (settled,) = services.ingest.run("default", [again.job_id])
    assert settled is not None
    assert settled.kind == "settled"


def test_an_operation_is_never_set_aside(services: Services, tmp_path: Path) -> None:
    """A delete of something is carried out, whatever died meanwhile."""
    job = accepted(services, tmp_path)
    services.ingest.run("default", [job.job_id])
    delete = services.acceptor.operate("default", "delete", job.image_id)
    services.ingest.set_aside("default", delete.job_id)
    assert services.index.read_tombstones("default", [job.image_id])[0] is not None
