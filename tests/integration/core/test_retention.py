"""How long pictures are kept, and how many are taken in, by the whole embedded service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters import wiring
from adapters.reindex import rebuild
from adapters.settings import Settings
from api.app import create_app
from core import keys
from core.errors import BacklogError
from core.ingest.retention import Retention
from tests.samples.pictures import photo, png
from worker.embedded import EmbeddedEngine

HELD = "2999-01-01T00:00:00.000Z"
PICTURES = [png(photo(seed, 96, 64)) for seed in range(3)]
DAY = 86_400.0


class Door(NamedTuple):
    """A service and its client."""

    services: wiring.Services
    client: TestClient[Litestar]

    def call(self, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
        """Send one request of a moderator."""
        headers = {"Authorization": "Bearer a-key-that-moderates", **more.pop("headers", {})}
        return self.client.request(method, url, headers=headers, **more)

    def one(self, data: bytes = PICTURES[0], **fields: Any) -> str:  # noqa: ANN401  # any field
        """Upload one picture and wait; its id."""
        files = {"file": ("a.png", data)}
        answer = self.call("POST", "/v1/images?wait=60", files=files, data=fields)
        assert answer.status_code == 200
        return str(answer.json()["items"][0]["image_id"])


def settings(folder: Path, **more: Any) -> Settings:  # noqa: ANN401  # any setting
    """Return the settings of a service of one tenant."""
    return Settings(
        data=folder,
        model="none",
        caption_model="none",
        durable=False,
        api_keys="a-key-that-moderates:t:moderate",
        decoders=1,
        **more,
    )


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """While an engine runs."""
    services = wiring.build(settings(tmp_path_factory.mktemp("keeping")))
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as client:
        yield Door(services, client)
    engine.close()
    services.close()


def test_a_hold_and_a_delete_at_once_are_decided_by_the_log(door: Door) -> None:
    """Whichever comes first: the picture is held and there, or gone; both are never granted."""
    came = set()
    with ThreadPoolExecutor(2) as pool:
        for n in range(12):
            url = f"/v1/images/{door.one(png(photo(100 + n, 96, 64)))}"
            first, second = (
                ("PATCH", {"json": {"hold_until": HELD}}),
                ("DELETE", {}),
            )[:: 1 if n % 2 else -1]
            calls = [
                pool.submit(door.call, method, url, **more) for method, more in (first, second)
            ]
            statuses = dict(
                zip(
                    (first[0], second[0]),
                    (call.result().status_code for call in calls),
                    strict=True,
                )
            )
            told = statuses["PATCH"], statuses["DELETE"]
            assert told in {(200, 409), (410, 204)}
            assert door.call("GET", url).status_code == (200 if told[0] == 200 else 410)
            came.add(told)
    assert came


def test_a_hold_outlives_the_index(door: Door) -> None:
    """It is in the log, so an index that is made again from it has it too."""
    url = f"/v1/images/{door.one(title='A')}"
    before = door.call("PATCH", url, json={"hold_until": HELD, "title": "B"}).json()
    rebuild(door.services, lambda *_: None)
    assert door.call("GET", url).json() == before
    assert door.call("POST", f"{url}/purge").status_code == 409
    door.call("PATCH", url, json={"hold_until": None})
    assert door.call("DELETE", url).status_code == 204


def test_old_pictures_go_and_what_is_held_stays(door: Door) -> None:
    """They go as purges and deletes do: settled by the worker, listed as jobs, tombstones kept."""
    original, copy = door.one(PICTURES[1], owner_id="a"), door.one(PICTURES[1], owner_id="b")
    held = door.one(PICTURES[2])
    door.call("PATCH", f"/v1/images/{held}", json={"hold_until": HELD})
    moment = time.time()

    def passing(days: dict[str, float | None], after: float) -> Retention:
        return Retention(
            door.services.snapshots,
            door.services.jobs,
            door.services.acceptor,
            door.services.blobs,
            **days,
            now=lambda: moment + after * DAY,
        )

    def content(image_id: str) -> str:
        answer = door.call("GET", f"/v1/images/{image_id}")
        return str(answer.json()["content"]) if answer.status_code == 200 else "gone"

    def settled() -> bool:
        return not list(door.services.blobs.keys("pending/t/"))

    for days, after, wanted in (
        ({"bytes_days": 3.0, "records_days": None}, 2.9, ["stored"] * 3),
        ({"bytes_days": 3.0, "records_days": None}, 3.1, ["purged", "purged", "stored"]),
        ({"bytes_days": 3.0, "records_days": 9.0}, 8.9, ["purged", "purged", "stored"]),
        ({"bytes_days": 3.0, "records_days": 9.0}, 9.1, ["gone", "gone", "stored"]),
    ):
        passing(days, after).sweep()
        deadline = time.monotonic() + 60
        while not settled():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [content(one) for one in (original, copy, held)] == wanted
    done = [keys.done("t", one) for one in (original, copy)]
    assert door.services.blobs.exists(done) == [True, True]
    kinds = [job["kind"] for job in door.call("GET", "/v1/jobs?limit=4").json()["items"]]
    assert kinds == ["delete", "delete", "purge", "purge"]
    door.call("PATCH", f"/v1/images/{held}", json={"hold_until": None})


def test_without_a_worker_uploads_are_refused_once_enough_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of the data directory refuses alike; with a worker uploads go in again."""
    monkeypatch.setattr("core.ingest.backpressure.SECONDS", 0.0)
    services = wiring.build(settings(tmp_path, backlog=3))
    with TestClient(create_app(services)) as client:
        here = Door(services, client)
        files = {"file": ("a.png", PICTURES[0])}
        deadline = time.monotonic() + 60
        while (answer := here.call("POST", "/v1/images", files=files)).status_code == 202:
            assert time.monotonic() < deadline
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert answer.json()["type"] == "/problems/backlog"
        beside = wiring.build(settings(tmp_path, backlog=3))
        with pytest.raises(BacklogError):
            beside.acceptor.admit("t")
        beside.close()
        engine = EmbeddedEngine(services)
        engine.start()
        while here.call("POST", "/v1/images", files=files).status_code != 202:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        engine.close()
    services.close()
