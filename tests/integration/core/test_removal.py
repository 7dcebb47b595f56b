"""Removals on request, which remove that picture alone: settled, in flight, or unreadable."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core.errors import MissingError
from core.ingest.accept import Upload
from core.records import Fields
from tests.samples.pictures import jpeg, photo

TENANT = "default"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Yield all services in one process, with nothing running."""
    built = wiring.build(Settings(data=tmp_path, model="none", caption_model="none", durable=False))
    yield built
    built.close()


def accepted(services: Services, folder: Path, *seeds: int, owner: str | None = None) -> list[str]:
    """Accept made photos, and return the ids of their pending jobs."""
    uploads = []
    for n, seed in enumerate(seeds):
        data = jpeg(photo(seed, 160, 120))
        path = folder / f"upload-{n}"
        path.write_bytes(data)
        sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
        uploads.append(Upload(path=path, filename=None, sha256=sha256, md5=md5, bytes=len(data)))
    items = services.acceptor.uploads(TENANT, uploads, Fields(owner_id=owner)).items
    return [item.image_id for item in items if not isinstance(item, Exception)]


def test_an_upload_that_is_settled_meanwhile_is_its_owners(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the pages of what is settled and the list of what waits: in one of them it is."""
    (first,) = accepted(services, tmp_path, 1, owner="bob")
    services.ingest.run(TENANT, [first])
    (second,) = accepted(services, tmp_path, 2, owner="bob")
    page = services.index.list_records
    asked: list[int] = []

    def slowly(*args: Any, **more: Any) -> Any:  # noqa: ANN401  # as the index takes and gives
        found = page(*args, **more)
        if not asked:
            asked.append(1)
            services.ingest.run(TENANT, [second])
        return found

    monkeypatch.setattr(services.index, "list_records", slowly)
    assert sorted(services.reader.owned(TENANT, "bob")) == sorted([first, second])


@pytest.mark.parametrize("delete_first", [True, False])
def test_the_id_of_an_operation_is_no_picture(
    services: Services, tmp_path: Path, *, delete_first: bool
) -> None:
    """A role that may delete pictures cannot take back what a moderator has decided."""
    ids = accepted(services, tmp_path, *([3] * 45))
    services.ingest.run(TENANT, ids)
    decide = services.acceptor.operate(TENANT, "decide", ids[0], value="block")
    with pytest.raises(MissingError):
        services.reader.check_erasable(TENANT, decide.job_id)
    delete = services.acceptor.operate(TENANT, "delete", decide.job_id)
    jobs = [decide.job_id, delete.job_id]
    services.ingest.run(TENANT, jobs[::-1] if delete_first else jobs)
    again = services.acceptor.operate(TENANT, "delete", decide.job_id)
    services.ingest.run(TENANT, [again.job_id])
    told = [services.reader.record(TENANT, one).record.state.decision.value for one in ids]
    assert Counter(told) == {"block": 45}
    for one in (delete, again):
        problem = services.jobs.job(TENANT, one.job_id).problem
        assert problem is not None
        assert problem.status == 404
    assert services.index.read_tombstones(TENANT, [decide.job_id]) == [None]
