"""Retention: pictures kept long enough go, once, and no others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from uuid_utils import uuid7

from adapters.sqlite_index import SQLiteIndex
from core import keys
from core.ingest import retention as retain
from core.ingest.accept import Acceptor
from core.ingest.retention import Retention, bound
from core.matching.policy import POLICY
from core.queries.jobs import JobReader
from core.queries.snapshot import Snapshots
from tests.doubles.small_service import BROKEN, Follower, Service
from tests.samples.pictures import photo, png
from tests.unit.api.calls import one

DAY = 86_400.0
HELD = "2999-01-01T00:00:00Z"
PICTURES = [png(photo(seed, 64, 64)) for seed in range(4)]


def now() -> float:
    """Return a moment between the uploads before and the uploads after it."""
    moment = time.time() + 0.002
    while time.time() < moment + 0.002:
        time.sleep(0.001)
    return moment


def retention(
    service: Service, at: float, *, stored: float | None = None, records: float | None = None
) -> Retention:
    """Return a retention whose clock shows some moment."""
    return Retention(
        service.snapshots,
        service.jobs,
        service.acceptor,
        service.blobs,
        bytes_days=stored,
        records_days=records,
        now=lambda: at,
    )


def asked(service: Service) -> list[tuple[str, str]]:
    """Operations that wait, in the order in which they were left."""
    jobs = service.jobs.open_jobs(service.tenant)
    return [(job.kind, job.image_id) for job in jobs]


def test_bytes_are_purged_after_their_days(client: TestClient[Litestar], service: Service) -> None:
    """Only the old ones are purged, and once; the records stay."""
    old = [one(client, data) for data in PICTURES[:2]]
    copy = one(client, PICTURES[0], on_duplicate="discard_bytes")
    split = now()
    young = one(client, PICTURES[2])
    passing = retention(service, split + 5 * DAY, stored=5)
    assert passing.retain(service.tenant) == 3
    contents = [
        client.get(f"/v1/images/{image_id}").json()["content"] for image_id in (*old, copy, young)
    ]
    assert contents == ["purged", "purged", "purged", "stored"]
    assert not any(service.blobs.exists([keys.derived(service.tenant, copy, "preview")]))
    service.queue.paused = True
    assert passing.retain(service.tenant) == 0
    assert asked(service) == []


def test_records_are_deleted_after_theirs(client: TestClient[Litestar], service: Service) -> None:
    """Purged ones go too; their tombstones stay."""
    old = [one(client, data) for data in PICTURES[:2]]
    client.post(f"/v1/images/{old[0]}/purge")
    split = now()
    young = one(client, PICTURES[2])
    passing = retention(service, split + DAY, records=1, stored=0.5)
    assert passing.retain(service.tenant) == 3  # the young one's bytes are over half a day old
    statuses = [client.get(f"/v1/images/{one}").status_code for one in (*old, young)]
    assert statuses == [410, 410, 200]
    assert client.get(f"/v1/images/{young}").json()["content"] == "purged"
    assert all(service.blobs.exists([keys.done(service.tenant, image_id) for image_id in old]))
    assert passing.retain(service.tenant) == 0


def test_what_is_held_is_passed_over(client: TestClient[Litestar], service: Service) -> None:
    """Until its time has come, or it is lifted."""
    held, other = one(client, PICTURES[0]), one(client, PICTURES[1])
    client.patch(f"/v1/images/{held}", json={"hold_until": HELD})
    passing = retention(service, now() + DAY, records=1)
    service.queue.paused = True
    assert passing.retain(service.tenant) == 1
    assert asked(service) == [("delete", other)]
    service.queue.run()
    service.queue.paused = False
    client.patch(f"/v1/images/{held}", json={"hold_until": None})
    assert passing.retain(service.tenant) == 1
    assert client.get(f"/v1/images/{held}").status_code == 410


def test_a_failed_upload_goes_with_its_bytes(
    client: TestClient[Litestar], service: Service
) -> None:
    """It is nothing else; one that still waits, also for another try, is left alone."""
    failed = one(client, PICTURES[0] + BROKEN)
    again = one(client, PICTURES[1] + BROKEN)
    service.queue.paused = True
    client.post(f"/v1/jobs/{again}/retry")
    waiting = one(client, PICTURES[2])
    before = set(asked(service))
    for days in ({"stored": 1.0}, {"records": 1.0}):
        assert retention(service, now() + DAY, **days).retain(service.tenant) == (
            1 if "stored" in days else 0
        )
        assert set(asked(service)) - before == {("delete", failed)}
    assert waiting in {image_id for _, image_id in before}


def test_nothing_goes_because_the_index_lost_it(
    client: TestClient[Litestar], service: Service, tmp_path: Path
) -> None:
    """An empty index knows no record: that shows nothing."""
    one(client, PICTURES[0])
    empty = SQLiteIndex(tmp_path / "empty.sqlite", POLICY, durable=False)
    snapshots = Snapshots(empty, Follower(empty), service.shelf)
    jobs = JobReader(snapshots, service.blobs, service.progress)
    for days in ({"bytes_days": 1.0, "records_days": None}, {"bytes_days": 1.0, "records_days": 1}):
        at = now() + 2 * DAY
        passing = Retention(
            snapshots, jobs, service.acceptor, service.blobs, **days, now=lambda at=at: at
        )
        assert passing.retain(service.tenant) == 0
    empty.close()


def test_a_pass_is_bounded_and_begins_with_the_oldest(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy goes before its original, so that fewer are settled again."""
    monkeypatch.setattr(retain, "MOST", 2)
    ids = [one(client, data) for data in (PICTURES[0], PICTURES[0], PICTURES[1])]
    passing = retention(service, now() + DAY, records=1)
    service.queue.paused = True
    assert passing.retain(service.tenant) == 2
    assert asked(service) == [("delete", ids[1]), ("delete", ids[0])]
    assert passing.retain(service.tenant) == 1
    assert asked(service)[2:] == [("delete", ids[2])]
    assert passing.retain(service.tenant) == 0


def test_a_busy_tenant_is_put_off(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While much waits, nothing is added to it."""
    monkeypatch.setattr(retain, "BUSY", 1)
    one(client, PICTURES[0])
    service.queue.paused = True
    for data in PICTURES[1:3]:
        one(client, data)
    passing = retention(service, now() + DAY, records=1)
    assert passing.retain(service.tenant) is None
    service.queue.run()
    assert passing.retain(service.tenant) == 3


def test_a_pass_is_made_when_it_is_time(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour after one that found all, soon after one that did not; never without a period."""
    moment = now() + DAY
    passes: list[float] = []
    left: list[int | None] = [5, retain.MOST, None, 0]

    class Watched(Retention):
        def retain(self, tenant: str) -> int | None:
            assert tenant == service.tenant
            passes.append(round(moment))
            return left[len(passes) - 1]

    monkeypatch.setattr(service.blobs, "folders", lambda _: [service.tenant])
    acceptor: Acceptor = service.acceptor
    never = Watched(
        service.snapshots, service.jobs, acceptor, service.blobs, bytes_days=None, records_days=None
    )
    assert (never.sweep(), passes) == (0, [])
    passing = Watched(
        service.snapshots,
        service.jobs,
        acceptor,
        service.blobs,
        bytes_days=30,
        records_days=None,
        now=lambda: moment,
    )
    begun = round(moment)
    found = []
    for _ in range(3700):
        found.append(passing.sweep())
        moment += 1
    assert [at - begun for at in passes] == [0, 3600, 3610, 3620]
    assert sum(found) == 5 + retain.MOST
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("_", range(3))
def test_ids_lie_on_either_side_of_their_time(_: int) -> None:
    """A UUIDv7 begins with its millisecond."""
    before = time.time()
    made = str(uuid7())
    assert bound(before - 0.002) < made < bound(time.time() + 0.002)
