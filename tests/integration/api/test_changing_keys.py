"""Keys that are added, limited and turned off while a real server runs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from cli.server.connection_limits import ConnectionLimits
from cli.server.http_server import HTTPServer
from tests.doubles.small_service import Service
from tests.e2e.talking import until

FIRST, SECOND = "the-key-of-the-shop", "the-key-of-the-page"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with the first key."""
    made = tmp_path / "keys"
    made.write_text(f"{FIRST}:shop:admin\n")
    return made


@pytest.fixture
def client(tmp_path: Path, file: Path) -> Iterator[httpx.Client]:
    """Yield a client of a server whose keys are in the file alone."""
    service = Service(tmp_path / "data", api_keys_file=file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = threading.Event()
        server = HTTPServer(create_app(service), up.set, ConnectionLimits(50, 50))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        assert up.wait(60)
        host, port = listener.getsockname()
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=60) as opened:
            yield opened
        server.should_exit = True
        thread.join()
    service.close()


def status(client: httpx.Client, key: str, path: str = "/v1/stats") -> int:
    """Return the status of a request with a key."""
    return client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def test_keys_change_without_a_restart(
    client: httpx.Client, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each change holds within seconds, on connections that stay open; a broken one not at all."""
    assert (status(client, FIRST), status(client, SECOND)) == (200, 401)
    assert client.get("/v1/stats").status_code == 401
    file.write_text(f"{FIRST}:shop:admin\n{SECOND}:shop:read:page\n")
    until(lambda: status(client, SECOND) == 403, 30)  # a reader has no counts
    image = f"/v1/images/01900000-0000-7000-8000-{0:012}"
    assert (status(client, FIRST), status(client, SECOND, image)) == (200, 404)

    limited = {"key": SECOND, "tenant": "shop", "role": "read", "rate_limit": "1/m:2"}
    whole = {"key": FIRST, "tenant": "shop", "role": "admin"}
    file.write_text(json.dumps([whole, limited]))
    until(lambda: status(client, SECOND, image) == 429, 30)
    headers = {"Authorization": f"Bearer {SECOND}"}
    assert 1 <= int(client.get(image, headers=headers).headers["retry-after"]) <= 60
    assert [status(client, FIRST) for _ in range(20)] == [200] * 20

    file.write_text(f"{FIRST}:shop:king")
    until(lambda: status(client, FIRST) == 200 and "api_keys_file_refused" in caplog.messages, 30)
    assert status(client, FIRST) == 200

    new = file.with_suffix(".new")
    new.write_text(f"{SECOND}:shop:write")
    new.replace(file)
    until(lambda: status(client, FIRST) in (401, 429), 30)  # the latter in a pause for wrong keys
    assert status(client, SECOND) == 200
    caplog.clear()
    file.unlink()
    until(lambda: status(client, SECOND) == 200 and "api_keys_file_refused" in caplog.messages, 30)
    assert status(client, FIRST) in (401, 429)
