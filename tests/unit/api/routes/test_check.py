"""Asking over HTTP without leaving anything behind."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.check_gate import LINE, CheckGate
from api.problems import BusyError
from tests.doubles.small_service import BROKEN, MAX_BYTES, Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(6, 64, 48))


def test_check_answers_verdict_and_decision(client: TestClient[Litestar]) -> None:
    """They are those of an upload, with the original joined; nothing is stored."""
    files = {"file": ("a.png", PICTURE)}
    new = client.post("/v1/check", files=files).json()
    assert (new["verdict"]["kind"], new["verdict"]["original"]) == ("new", None)
    assert new["decision"]["value"] == "allow"
    sent = client.post("/v1/images", files=files, data={"owner_id": "o"}).json()
    seen = client.post("/v1/check", files=files).json()["verdict"]
    assert seen["kind"] == "exact"
    assert seen["original"]["image_id"] == sent["items"][0]["image_id"]
    assert seen["original"]["owner_id"] == "o"
    assert len(client.get("/v1/jobs").json()["items"]) == 1


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (PICTURE + BROKEN, 422, "broken"),
        (b"hello", 415, "unsupported"),
        (b"x" * (MAX_BYTES + 1), 413, "too-large"),
        (b"", 422, "broken"),
    ],
)
def test_check_refuses(
    client: TestClient[Litestar], service: Service, data: bytes, status: int, kind: str
) -> None:
    """With the reason, and nothing stays on the disk."""
    response = client.post("/v1/check", files={"file": ("a.png", data)})
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")
    assert list((service.settings.data / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "data"),
    [
        ([], {"title": "x"}),
        ([("file", ("a", PICTURE)), ("file", ("b", PICTURE))], {}),
        ([("file", ("a", PICTURE))], {"owner_id": "o"}),
        ([("other", ("a", PICTURE))], {}),
    ],
)
def test_check_takes_one_file_and_nothing_else(
    client: TestClient[Litestar], files: list[tuple[str, tuple[str, bytes]]], data: dict[str, str]
) -> None:
    """400 (415 where it is no multipart form at all)."""
    response = client.post("/v1/check", files=files, data=data)
    assert response.status_code == (400 if files else 415)


def test_more_checks_than_are_answered_are_sent_away(
    client: TestClient[Litestar], service: Service
) -> None:
    """503 with Retry-After once the line is full, while others are answered as ever."""
    most = service.settings.checks_at_once * (1 + LINE)
    busy = threading.Semaphore(0)
    service.checker.gate.clear()

    def ask() -> int:
        response = client.post("/v1/check", files={"file": ("a.png", PICTURE)})
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert response.json()["type"] == "/problems/busy"
            busy.release()
        return response.status_code

    with ThreadPoolExecutor(most + 3) as pool:
        asked = [pool.submit(ask) for _ in range(most + 3)]
        for _ in range(3):
            assert busy.acquire(timeout=20)
        assert client.get("/v1/images").status_code == 200
        service.checker.gate.set()
        assert sorted(one.result() for one in asked) == [200] * most + [503] * 3
    assert client.post("/v1/check", files={"file": ("a.png", PICTURE)}).status_code == 200


def test_tenants_take_turns_at_checks() -> None:
    """One with a full line is sent away and leaves a thread to others, who wait for no line."""
    gate, go = CheckGate(3), threading.Event()
    order: list[str] = []

    def work(name: str) -> None:
        order.append(name)
        assert go.wait(20)

    async def scene() -> None:
        async def begin(tenant: str, name: str) -> asyncio.Task[None]:
            task = asyncio.create_task(gate.run(tenant, lambda: work(name)))
            await asyncio.sleep(0.02)
            return task

        much = [await begin("much", f"much-{n}") for n in range(3 * (1 + LINE))]
        assert order == ["much-0", "much-1"]
        with pytest.raises(BusyError, match="of your checks"):
            await gate.run("much", lambda: None)
        few = [await begin(tenant, tenant) for tenant in ("few", "other")]
        assert order[2:] == ["few"]
        much[2].cancel()  # its caller went away while it waited
        go.set()
        found = await asyncio.gather(*much, *few, return_exceptions=True)
        assert [one for one in found if one is not None] == [found[2]]
        assert order.index("other") <= 5
        assert await gate.run("much", lambda: "again") == "again"

    asyncio.run(scene())
    gate.close()
