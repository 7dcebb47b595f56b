"""Faults between two parts: slow, cut and half-open links, and answers of 503."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.backends.server_process import Server, binary, built, free_ports, started, used


class Link:
    """Port on loopback that leads to a server, with the toxics of toxiproxy."""

    def __init__(self, proxy: Toxiproxy, name: str, port: int) -> None:
        self._proxy, self._name, self.port = proxy, name, port

    def cut(self) -> None:
        """Close open connections and refuse new ones."""
        self._proxy.ask("POST", self._path, {"enabled": False})

    def mend(self) -> None:
        """Remove every fault of the link."""
        for toxic in self._proxy.ask("GET", self._path)["toxics"]:
            self._proxy.ask("DELETE", f"{self._path}/toxics/{toxic['name']}")
        self._proxy.ask("POST", self._path, {"enabled": True})

    def slow(self, milliseconds: int, jitter: int = 0) -> None:
        """Delay every answer by that much."""
        self.add("latency", latency=milliseconds, jitter=jitter)

    def half_open(self) -> None:
        """Accept and keep connections, and pass nothing either way."""
        self.add("timeout", timeout=0)
        self.add("timeout", "upstream", timeout=0)

    def reset_peer(self, milliseconds: int = 0) -> None:
        """End connections with a TCP reset, after that time."""
        self.add("reset_peer", timeout=milliseconds)

    def add(self, kind: str, stream: str = "downstream", **attributes: int) -> None:
        """Add any of toxiproxy's toxics, on answers (downstream) or on requests (upstream)."""
        told = {"type": kind, "stream": stream, "attributes": attributes}
        self._proxy.ask("POST", f"{self._path}/toxics", told)

    @property
    def _path(self) -> str:
        return f"/proxies/{self._name}"


class Toxiproxy(Server):
    """Server process with links to anything that listens on a port."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = ports = free_ports(1)
        program = binary("toxiproxy-server", "toxiproxy")
        command = [program, "-host", "127.0.0.1", "-port", str(self.port)]
        super().__init__(command, folder, ports=ports)
        self._version = f"{built(program, 'github.com/Shopify/toxiproxy/v2')} ({program})"
        self._links = 0

    def ready(self) -> bool:
        """Return whether its own API answers."""
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/version")
        except httpx.TransportError:
            return False
        used("toxiproxy", self._version)
        return True

    def link(self, host: str, port: int) -> Link:
        """Open a link to `host:port`, without faults."""
        (own,) = free_ports(1)
        self._links += 1
        name = f"link{self._links}"
        to = {"name": name, "listen": f"127.0.0.1:{own}", "upstream": f"{host}:{port}"}
        self.ask("POST", "/proxies", {**to, "enabled": True})
        return Link(self, name, own)

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Send a request to its HTTP API and return the answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = httpx.request(method, url, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


def toxiproxy(folder: Path) -> AbstractContextManager[Toxiproxy]:
    """Start a private toxiproxy."""
    return started(Toxiproxy(folder))


class Flaky(ThreadingHTTPServer):
    """HTTP proxy that answers 503 to some requests.

    Requests pass unchanged, with the Host header, since signatures cover it. The share `landed` of
    the refused requests was carried out first: its answer is lost.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, one_in: int, landed: float, seed: int) -> None:
        (self.port,) = free_ports(1)
        self.upstream = (host, port)
        self.one_in, self.landed = one_in, landed
        self.requests = self.refused = self.lost = 0
        """Counts of all requests; of those refused; and of these, of those carried out first."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", self.port), _Forward)

    def draw(self) -> tuple[bool, bool]:
        """Decide whether the next request is refused, and whether it is carried out first."""
        with self._lock:
            self.requests += 1
            refuse = self.one_in > 0 and self._random.random() * self.one_in < 1
            lose = refuse and self._random.random() < self.landed
            self.refused += refuse
            self.lost += lose
            return refuse, lose

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # an answer in one piece
    disable_nagle_algorithm = True
    server: Flaky

    def _pass(self) -> None:
        body = self._body()
        refuse, lose = self.server.draw()
        if not refuse or lose:
            status, headers, answer = self._ask(body)
        if refuse:
            status, headers = 503, [("Content-Type", "application/xml"), ("Retry-After", "0")]
            answer = b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
        self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - the library's names

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            raise NotImplementedError("no client of ours sends chunks")
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=self.timeout)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    upstream.putheader(name, value)
            upstream.putheader("Connection", "close")
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            kept = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "keep-alive")
            ]
            return answer.status, kept, answer.read()
        finally:
            upstream.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Suppress the log of requests."""


@contextmanager
def flaky(
    host: str, port: int, one_in: int = 10, *, landed: float = 0.5, seed: int = 0
) -> Iterator[Flaky]:
    """Start a proxy on `.port` that refuses one request in `one_in` (0: none) to host:port."""
    server = Flaky(host, port, one_in, landed, seed)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="flaky", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
