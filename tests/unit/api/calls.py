"""Requests that tests send to the HTTP API, and how they read problems."""

from __future__ import annotations

from typing import Any

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from adapters.service_address import LocalKey
from api.app import create_app
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

ONE, TWO = (png(photo(seed, 96, 64)) for seed in (1, 2))
"""Two pictures that are no copies of each other."""


def app_for(service: Service, peer: str, key: LocalKey | None = None) -> Litestar:
    """Return the app of a service, whose requests come from one address."""
    app = create_app(service, key)
    whole = app.asgi_handler

    async def handler(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "http":
            scope["client"] = (peer, 50_000)
        await whole(scope, receive, send)

    app.asgi_handler = handler
    return app


def send(client: TestClient[Litestar], *files: bytes, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
    """Upload some files by POST."""
    parts = [("file", (f"{n}.png", data, "image/png")) for n, data in enumerate(files)]
    return client.post(more.pop("url", "/v1/images"), files=parts, **more)


def one(client: TestClient[Litestar], data: bytes = ONE, **fields: Any) -> str:  # noqa: ANN401  # any field
    """Upload one file and return its id."""
    return str(send(client, data, data=fields).json()["items"][0]["image_id"])


def problem(response: httpx.Response) -> dict[str, Any]:
    """Return the problem of an answer without its request_id, which differs each time."""
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told.pop("request_id") == response.headers["x-request-id"]
    return dict(told)
