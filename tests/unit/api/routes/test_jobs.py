"""Jobs over HTTP: as they stand, as they go, again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.routes import jobs
from core.errors import StoreUnavailableError
from tests.doubles.small_service import BROKEN, Service
from tests.samples.pictures import photo, png
from tests.unit.api.calls import one

PICTURE = png(photo(4, 64, 48))


def upload(client: TestClient[Litestar], data: bytes = PICTURE) -> str:
    """Upload one file, and return its job's id."""
    response = client.post("/v1/images", files={"file": ("a.png", data)})
    return str(response.json()["items"][0]["job_id"])


def events(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Ids and jobs of a stream of events."""
    told = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            assert lines["event"] == "status"
            told.append((int(lines["id"]), msgspec.json.decode(lines["data"])))
    return told


async def stream_of(service: Service, job_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """Yield the stream of a job as it is sent."""
    async for message in jobs._stream(
        service.waiter, service.reader, service.tenant, job_id, after
    ):
        yield message.encode()


def test_a_job_that_ended(client: TestClient[Litestar]) -> None:
    """With verdict and decision, or with its error."""
    done, failed = upload(client), upload(client, PICTURE + BROKEN)
    record = client.get(f"/v1/images/{done}").json()
    told = client.get(f"/v1/jobs/{done}").json()
    assert told == {
        "job_id": done,
        "kind": "ingest",
        "image_id": done,
        "status": "done",
        "verdict": record["verdict"],
        "decision": record["decision"],
        "error": None,
        "attempts": 1,
        "accepted_at": record["accepted_at"],
        "finished_at": told["finished_at"],
    }
    told = client.get(f"/v1/jobs/{failed}").json()
    assert (told["status"], told["error"]["status"]) == ("failed", 422)
    assert "request_id" not in told["error"]


def test_a_job_under_way(client: TestClient[Litestar], service: Service) -> None:
    """The status is the newest published; a published end does not count before the log has it."""
    service.queue.paused = True
    job_id = upload(client)
    heard = []
    for status in ("decoding", "embedding", "settling"):
        service.progress.publish(service.tenant, [job_id], status)
        heard.append(client.get(f"/v1/jobs/{job_id}").json()["status"])
    assert heard == ["decoding", "embedding", "settling"]


def test_jobs_are_listed_newest_first(client: TestClient[Litestar], service: Service) -> None:
    """Ended and waiting ones in one list, by status, through pages, each once."""
    first, failed, third = upload(client), upload(client, PICTURE + BROKEN), upload(client)
    service.queue.paused = True
    waiting = [upload(client) for _ in range(3)]

    def listed(query: str) -> list[str]:
        ids, cursor = [], ""
        while True:
            page = client.get(f"/v1/jobs?limit=2{query}{cursor}").json()
            ids += [job["job_id"] for job in page["items"]]
            if page["next_cursor"] is None:
                return ids
            cursor = f"&cursor={page['next_cursor']}"

    assert listed("") == [*waiting[::-1], third, failed, first]
    assert listed("&status=queued") == waiting[::-1]
    assert listed("&status=done") == [third, first]
    assert listed("&status=failed") == [failed]
    assert listed("&status=settling") == []
    assert client.get("/v1/jobs?status=lost").status_code == 400


def test_an_ended_job_tells_its_one_event_at_once(client: TestClient[Litestar]) -> None:
    """A client that has it gets nothing."""
    job_id = upload(client)
    response = client.get(f"/v1/jobs/{job_id}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert events(response.text) == [(4, client.get(f"/v1/jobs/{job_id}").json())]
    again = client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "4"})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("last", ["²", "9" * 5000, "-1", "x"])
def test_no_last_event_is_a_crash(client: TestClient[Litestar], last: str) -> None:
    """A value that never was the id of an event counts as none."""
    job_id = one(client)
    headers = {"Last-Event-ID": last.encode("latin-1")}
    again = client.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert (again.status_code, again.text.count("event: status")) == (200, 1)


def test_events_follow_a_job_to_its_end(client: TestClient[Litestar], service: Service) -> None:
    """Each step once, further ones only, and the whole job at the end."""
    service.queue.paused = True
    job_id = upload(client)

    async def follow(after: int) -> list[tuple[int, dict[str, Any]]]:
        stream = stream_of(service, job_id, after)
        text = await anext(stream)
        if after < 0:
            text += await anext(stream)
        coming = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        for status in ("decoding", "decoding", "settling"):
            service.progress.publish(service.tenant, [job_id], status)  # type: ignore[arg-type]
            if status == "settling" or after < 1:
                text += await coming
                coming = asyncio.ensure_future(anext(stream))
                after = 1
        await asyncio.to_thread(service.queue.run)
        text += await coming
        assert [chunk async for chunk in stream] == []
        return events(text.decode())

    told = asyncio.run(follow(-1))
    assert [number for number, _ in told] == [0, 1, 3, 4]
    assert [job["status"] for _, job in told] == ["queued", "decoding", "settling", "done"]
    assert told[-1][1] == client.get(f"/v1/jobs/{job_id}").json()


def test_a_quiet_stream_shows_that_it_lives(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment where there is no news."""
    monkeypatch.setattr(jobs, "COMMENT_SECONDS", 0.0)
    service.queue.paused = True
    job_id = upload(client)

    async def first() -> list[bytes]:
        stream = stream_of(service, job_id, -1)
        told = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return told

    retry, queued, comment = asyncio.run(first())
    assert retry == b"retry: 2000\n\n"
    assert queued.startswith(b"id: 0\nevent: status\n")
    assert comment == b": still here\n\n"


def test_a_failed_upload_is_tried_again(client: TestClient[Litestar], service: Service) -> None:
    """Under the id of the try; only what has failed can be."""
    failed = upload(client, PICTURE + BROKEN)
    response = client.post(f"/v1/jobs/{failed}/retry")
    told = response.json()
    assert response.status_code == 202
    assert (told["job_id"], told["image_id"], told["attempts"]) == (f"{failed}.1", failed, 2)
    assert client.get(f"/v1/jobs/{failed}.1").json()["status"] == "failed"
    assert client.get(f"/v1/images/{failed}").json()["job"]["job_id"] == f"{failed}.1"
    done = upload(client)
    assert client.post(f"/v1/jobs/{done}/retry").status_code == 409
    client.patch(f"/v1/images/{done}", json={"title": "x"})
    (edit,) = [j for j in client.get("/v1/jobs").json()["items"] if j["kind"] == "edit"]
    assert client.post(f"/v1/jobs/{edit['job_id']}/retry").status_code == 409
    service.queue.paused = True
    assert client.post(f"/v1/jobs/{upload(client)}/retry").status_code == 409


def test_jobs_need_the_store(client: TestClient[Litestar], service: Service) -> None:
    """503 with Retry-After while the log cannot be read."""
    job_id = upload(client)
    service.follower.fails = StoreUnavailableError("the blob store does not answer")
    response = client.get(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"] == "/problems/store-unavailable"
