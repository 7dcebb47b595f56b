"""Properties of every answer: an id, safe headers, and a log context of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


@pytest.mark.parametrize(("sent", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False)])
def test_a_request_has_an_id(client: TestClient[Litestar], sent: str, kept: bool) -> None:
    """The caller's own where it is harmless, else a new one; in problems too."""
    response = client.get("/nowhere", headers={"X-Request-ID": sent})
    told = response.headers["x-request-id"]
    assert (told == sent) is kept
    assert response.json()["request_id"] == told


def test_answers_have_safe_headers(client: TestClient[Litestar]) -> None:
    """A 404 has them too; other sites may not read them."""
    for path in ("/v1/images", "/nowhere", "/health/live"):
        headers = client.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers


def test_a_request_begins_with_an_empty_log_context(tmp_path: Path) -> None:
    """It leaves none behind, even if a server runs all of a connection in one."""
    service = Service(tmp_path, api_keys="the-key-of-tenant-a-long:a:admin")
    app = create_app(service)
    seen: list[dict[str, Any]] = []

    async def ask(key: str) -> None:
        async def receive() -> Any:  # noqa: ANN401 - an event
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401 - an event
            if message["type"] == "http.response.start":
                seen.append(
                    {"status": message["status"], **structlog.contextvars.get_contextvars()}
                )

        headers = [(b"host", b"x"), (b"authorization", f"Bearer {key}".encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/images",
            "raw_path": b"/v1/images",
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "state": {},
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "app": app,
        }
        await app(scope, receive, send)  # type: ignore[arg-type]
        assert structlog.contextvars.get_contextvars() == {}

    async def connection() -> None:
        structlog.contextvars.bind_contextvars(tenant="of another", job_ids=["1"])
        for key in ("unknown", "the-key-of-tenant-a-long", "unknown"):
            await ask(key)

    with TestClient(app):
        asyncio.run(connection())
    service.close()
    told = [{**one, "request_id": bool(one["request_id"])} for one in seen]
    nobody = {"status": 401, "request_id": True}
    assert told == [nobody, {"status": 200, "request_id": True, "tenant": "a"}, nobody]


# --- health and figures -------------------------------------------------------------------------


# --- the reference ------------------------------------------------------------------------------
