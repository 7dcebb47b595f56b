"""Readiness and statistics: the parts, and when uploads cannot be accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters.process_lock import EngineLock
from core.engine_status import EngineStatus
from core.errors import (
    EngineUnavailableError,
    IndexUnavailableError,
    StoreUnavailableError,
)
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


def test_ready_tells_the_parts(client: TestClient[Litestar], service: Service) -> None:
    """Degraded is still ready: uploads are accepted with model, broker and index away."""
    assert client.get("/health/live").json() == {"status": "ok"}
    service.queue.down = True
    response = client.get("/health/ready")
    assert (response.status_code, response.json()) == (
        200,
        {
            "status": "degraded",
            "parts": {
                "blobs": "ok",
                "index": "ok",
                "queue": "down",
                "log": "ok",
                "engine": "ok",
                "visual": "absent",
                "caption": "absent",
            },
            "reasons": {
                "queue": "the broker does not answer",
                "visual": "no visual model is wanted",
                "caption": "no caption model is wanted",
            },
        },
    )
    service.queue.down = False
    service.visual.absent = None
    service.caption.absent = "SEENIT_CAPTION_MODEL=none: no caption model is wanted"
    told = client.get("/health/ready").json()
    assert (told["status"], told["parts"]["caption"], told["reasons"]) == ("ready", "off", {})


def test_ready_names_replicas_where_there_are_several(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index answers, and what is settled does not get onto it."""

    def whole() -> None:
        raise IndexUnavailableError("1 of 3 nodes of Weaviate are away")

    monkeypatch.setattr(service.index, "check_replicas", whole)
    assert "replicas" not in client.get("/health/ready").json()["parts"]
    several = service.settings.model_copy(update={"index_replication": 3})
    monkeypatch.setattr(service, "settings", several)
    told = client.get("/health/ready").json()
    assert (told["status"], told["parts"]["index"]) == ("degraded", "ok")
    assert (told["parts"]["replicas"], told["reasons"]["replicas"]) == (
        "down",
        "1 of 3 nodes of Weaviate are away",
    )


@pytest.mark.parametrize("free", [0, 10**12])
def test_ready_is_503_only_when_uploads_cannot_be_accepted(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """The disk is full, or the store refuses to be written to."""

    def put(items: Any) -> None:  # noqa: ANN401, ARG001  # as Blobs.put
        raise StoreUnavailableError("read-only")

    monkeypatch.setattr(service.blobs, "free", lambda: free)
    monkeypatch.setattr(service.blobs, "put", put)
    monkeypatch.setattr("api.routes.health.FRESH", -1.0)
    response = client.get("/health/ready")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["parts"]["blobs"] == "down"
    assert client.get("/health/live").status_code == 200


def test_stats(client: TestClient[Litestar], service: Service) -> None:
    """Counts in all and by category, what waits, and the lag."""
    for category in ("c", "d"):
        client.post("/v1/images", files={"file": ("a", PICTURE)}, data={"category": category})
    service.queue.paused = True
    client.post("/v1/images", files={"file": ("a", PICTURE)})
    told = client.get("/v1/stats").json()
    one = {"images": 1, "decisions": {"allow": 1}, "spaces": {}}
    assert told == {
        "total": {
            "images": 2,
            "verdicts": {"exact": 1, "new": 1},
            "decisions": {"allow": 2},
            "spaces": {},
        },
        "categories": {
            "c": {**one, "verdicts": {"new": 1}},
            "d": {**one, "verdicts": {"exact": 1}},
        },
        "queue_depth": 1,
        "log": {"head": 2, "watermark": 2, "lag": 0},
    }


def test_ready_is_503_only_where_the_engine_of_this_process_cannot_run(
    client: TestClient[Litestar], service: Service
) -> None:
    """Not where another process holds the folder, nor where another part is away."""
    engine = service.engine
    engine.failed("the lock cannot be taken", EngineUnavailableError("the lock cannot be taken"))
    answer = client.get("/health/ready")
    problem = answer.json()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert problem["type"] == "/problems/engine-unavailable"
    assert problem["parts"]["engine"] == "down"
    assert problem["reasons"]["engine"] == "the lock cannot be taken"
    assert client.post("/v1/images", files={"file": PICTURE}).status_code == 202
    states: list[tuple[Callable[[], None], str, str | None]] = [
        (lambda: engine.failed("s", StoreUnavailableError("s")), "down", "s"),
        (lambda: engine.running(lambda: "sweeper: s"), "down", "sweeper: s"),
        (engine.starting, "absent", "the engine is starting"),
        (engine.standby, "ok", None),
        (lambda: engine.running(lambda: None), "ok", None),
    ]
    for turn, state, reason in states:
        turn()
        answer = client.get("/health/ready")
        assert answer.status_code == 200
        assert answer.json()["parts"]["engine"] == state
        assert answer.json()["reasons"].get("engine") == reason


def test_ready_of_a_process_without_an_engine_asks_who_holds_the_folder(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uvicorn api.asgi:create` beside a `seenit up`, or alone."""
    monkeypatch.setattr(service, "engine", EngineStatus())
    told = client.get("/health/ready").json()
    assert told["parts"]["engine"] == "absent"
    assert "no process holds the data folder" in told["reasons"]["engine"]
    holder = EngineLock(service.settings.data)
    assert holder.take()
    assert client.get("/health/ready").json()["parts"]["engine"] == "ok"
    holder.release()
    path = service.settings.data / "engine.lock"
    path.unlink(missing_ok=True)
    path.mkdir()
    told = client.get("/health/ready").json()
    path.rmdir()
    assert (told["status"], told["parts"]["engine"]) == ("degraded", "down")
    assert "is a directory" in told["reasons"]["engine"]


def test_ready_names_a_damaged_index(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads are accepted meanwhile; nothing is read from it until it is made again."""
    monkeypatch.setattr(service.index._database, "_damage", "disk image is malformed")
    told = client.get("/health/ready").json()
    assert (told["status"], told["parts"]["index"]) == ("degraded", "down")
    assert "index.sqlite is damaged (disk image is malformed)" in told["reasons"]["index"]
    service.queue.paused = True
    assert client.post("/v1/images", files={"file": ("a", PICTURE)}).status_code == 202
    answer = client.get("/v1/images")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_health_names_no_path_and_no_tenant(client: TestClient[Litestar], service: Service) -> None:
    """It takes no key: of a path the last part is left, of a stopped tenant that there is one."""
    data = service.settings.data
    engine = service.engine
    for reason, left in {
        f"the lock {data}/engine.lock cannot be taken": "the lock engine.lock cannot be taken",
        "/srv/models/clip/a.bin is a pointer; see (/etc/x), '/b c': n/a, 3/4": (
            "a.bin is a pointer; see (x), 'b c': n/a, 3/4"
        ),
        "no file:///srv/data, no redis://host:6379/0": "no data, no redis://host:6379/0",
    }.items():
        for error in (EngineUnavailableError(reason), StoreUnavailableError(reason)):
            engine.failed(reason, error)
            told = client.get("/health/ready").json()
            assert told["reasons"]["engine"] == left
            assert told.get("detail", left).endswith(left)
    engine.standby()
    service.follower.faults["acme"] = "the log of acme has a gap at entry 3"
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["log"] == "down"
    assert answer.json()["reasons"]["log"].startswith("the log of 1 tenant cannot be followed")
    assert "acme" not in answer.text
    service.follower.faults.clear()
    assert client.get("/health/ready").json()["parts"]["log"] == "ok"
