"""The HTTP door behind a real server: what only a real connection shows."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api.app import THREADS, create_app
from cli.server.connection_limits import ConnectionLimits
from cli.server.http_server import HTTPServer
from tests.backends.server_process import ROOT, free_ports, outside
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(11, 64, 48))
FORM = b"\r\n".join(
    (
        b"Host: localhost",
        b"Content-Length: 9999",
        b"Content-Type: multipart/form-data; boundary=b",
        b"",
    )
)
"""Headers of a form."""
PLACES = 250
"""Connections that the server holds."""
SECONDS = 60.0
"""For what takes a moment: a machine may be slow."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a small service that takes files of 4 MB."""
    made = Service(tmp_path_factory.mktemp("served"), max_bytes=4_000_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[tuple[str, int]]:
    """Yield the address at which the app listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = threading.Event()
        server = HTTPServer(create_app(service), up.set, ConnectionLimits(PLACES, PLACES))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        assert up.wait(SECONDS)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[httpx.Client]:
    """Yield a client with room for many calls at once."""
    limits = httpx.Limits(max_connections=200)
    url = f"http://{address[0]}:{address[1]}"
    with httpx.Client(base_url=url, timeout=SECONDS, limits=limits) as opened:
        yield opened


def until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_whoever_is_refused_unread_sees_the_answer(
    client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API reads a large body to its end before it answers 503, and keeps the connection."""
    monkeypatch.setattr(service.blobs, "free", lambda: 0)
    for _ in range(3):
        answer = client.post("/v1/images", files=[("file", b"x" * 3_000_000)] * 5)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "connection" not in answer.headers


@contextmanager
def opened(
    address: tuple[str, int], path: str, length: int
) -> Iterator[http.client.HTTPConnection]:
    """Open a request and send its head alone."""
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "multipart/form-data; boundary=XX")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    with closing(connection):
        yield connection


def part(data: bytes) -> bytes:
    """Return the part of a form that holds a file."""
    head = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return head + data + b"\r\n"


def answer(connection: http.client.HTTPConnection) -> tuple[int, Any]:
    """Return status and body."""
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize("path", ["/v1/images", "/v1/check"])
def test_a_caller_that_hangs_up_leaves_nothing(
    address: tuple[str, int], client: httpx.Client, service: Service, path: str
) -> None:
    """No file in the spool, no job."""
    spool = service.settings.data / "spool"
    before = len(client.get("/v1/jobs").json()["items"])
    with opened(address, path, 4_500_000) as connection:
        connection.send(part(b"x" * 3_000_000)[:-9])
        until(lambda: any(spool.rglob("0")))
    until(lambda: not list(spool.iterdir()))
    assert len(client.get("/v1/jobs").json()["items"]) == before


def test_a_refused_sender_gets_to_read_why(address: tuple[str, int]) -> None:
    """The rest of the request is read: a sender of megabytes sees the answer, not a reset."""
    body = part(PICTURE) + part(b"x" * 3_900_000) * 2 + b"--XX--\r\n"
    wrong = body.replace(b'name="file"', b'name="fiel"', 1)
    many = part(PICTURE) * 101 + part(b"x" * 3_900_000) + b"--XX--\r\n"
    for sent, field in ((wrong, "fiel"), (many, "file")):
        with opened(address, "/v1/images", len(sent)) as connection:
            connection.send(sent)
            status, told = answer(connection)
        assert (status, told["field"]) == (400, field)


def test_a_connection_serves_on_after_a_refusal(client: httpx.Client) -> None:
    """Keep-alive, whatever was wrong before."""
    for _ in range(3):
        response = client.post("/v1/images", files={"fiel": ("a", PICTURE)})
        assert response.status_code == 400
        response = client.post("/v1/images", files={"file": ("a", PICTURE)})
        assert response.status_code == 202


def test_waiting_calls_hold_no_thread(client: httpx.Client, service: Service) -> None:
    """More of them than there are threads, and other calls are answered meanwhile."""
    service.queue.paused = True
    waiting = THREADS + 8

    def upload(_: int) -> httpx.Response:
        return client.post(f"/v1/images?wait={SECONDS}", files={"file": ("a", PICTURE)})

    def follow(job_id: str) -> str:
        return client.get(f"/v1/jobs/{job_id}/events").text

    with ThreadPoolExecutor(2 * waiting + 8) as pool:
        uploads = [pool.submit(upload, n) for n in range(waiting)]
        until(lambda: len(service.queue.held) == waiting)
        streams = [pool.submit(follow, job_id) for _, job_id in service.queue.held]
        changes = [
            pool.submit(client.patch, f"/v1/images/{job_id}", json={"title": "x"})
            for _, job_id in service.queue.held[:3]
        ]
        try:
            assert {change.result().status_code for change in changes} == {404}
            assert client.get("/v1/images").status_code == 200
            assert client.get("/health/ready").status_code == 200
            assert not any(one.done() for one in (*uploads, *streams))
        finally:
            service.queue.paused = False
            service.queue.run()
        assert {one.result().status_code for one in uploads} == {200}
        assert all('"status":"done"' in one.result() for one in streams)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /v1/images HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /v1/images HTTP/1.1\r\n" + FORM + b"\r\n..",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_slow_connections_cost_their_own_places(
    address: tuple[str, int], client: httpx.Client, sent: bytes
) -> None:
    """Twice as many as there are places: a caller is served, and the oldest are closed."""
    slow = []
    try:
        for _ in range(2 * PLACES):
            slow.append(socket.create_connection(address, timeout=SECONDS))
            slow[-1].sendall(sent)
        for _ in range(5):
            assert client.get("/health/live").status_code == 200
        first, last = slow[0], slow[-1]
        assert first.recv(4096).startswith(b"HTTP/1.1 408 ")
        last.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            last.recv(4096)
    finally:
        for one in slow:
            one.close()


def test_a_listener_that_leaves_is_forgotten(client: httpx.Client, service: Service) -> None:
    """Nothing of an event stream stays behind."""
    service.queue.paused = True
    try:
        sent = client.post("/v1/images", files={"file": ("a", PICTURE)}).json()["items"][0]
        with client.stream("GET", f"/v1/jobs/{sent['job_id']}/events") as response:
            lines = response.iter_lines()  # kept: to drop it hangs up
            assert next(lines) == "retry: 2000"
            until(lambda: len(service.progress._listeners) == 1)
        until(lambda: not service.progress._listeners)
    finally:
        service.queue.paused = False
        service.queue.run()


def test_head_has_the_length_of_the_bytes(client: httpx.Client) -> None:
    """It has no body, and the connection goes on."""
    sent = client.post("/v1/images", files={"file": ("a", PICTURE)}).json()["items"][0]
    url = f"/v1/images/{sent['image_id']}/content"
    until(lambda: client.head(url).status_code == 200)
    headed = client.head(url)
    assert (headed.headers["content-length"], headed.content) == (str(len(PICTURE)), b"")
    assert client.get(url).content == PICTURE


# --- a process of its own -----------------------------------------------------------------------


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], tuple[str, int]]]:
    """Yield an API process made by `api.asgi`, and its address."""
    (port,) = free_ports(1)
    ours = {
        "SEENIT_DATA": str(tmp_path),
        "SEENIT_MODEL": "none",
        "SEENIT_CAPTION_MODEL": "none",
        "SEENIT_DURABLE": "false",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "api.asgi:create"]
    with subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "warning", "--no-access-log"],
        env=outside() | ours,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    ) as run:
        try:
            until(lambda: _listens(port))
            yield run, ("127.0.0.1", port)
        finally:
            run.terminate()
            run.wait(SECONDS)


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.hard
def test_large_requests_are_never_in_memory(
    process: tuple[subprocess.Popen[bytes], tuple[str, int]],
) -> None:
    """100 files of 3 MB in one request: measured 6 MB of memory above idle, 40 are allowed."""
    run, address = process
    child = psutil.Process(run.pid)
    httpx.post(f"http://127.0.0.1:{address[1]}/v1/images", files={"file": ("a", PICTURE)})
    idle = peak = child.memory_info().rss
    head, padding = part(b"")[:-2], 3_000_000 - len(PICTURE)
    with opened(address, "/v1/images", 100 * (len(head) + 3_000_000 + 2) + 6) as connection:
        for _ in range(100):
            connection.send(head + PICTURE + bytes(padding) + b"\r\n")
            peak = max(peak, child.memory_info().rss)
        connection.send(b"--XX--")
        status, told = answer(connection)
    peak = max(peak, child.memory_info().rss)
    assert (status, len(told["items"])) == (202, 100)
    assert (peak - idle) / 1e6 < 40
    assert not any("libtorch" in one.path for one in child.memory_maps())
