"""How a command decides whether the service of a data folder answers for it."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters import settings
from adapters.service_address import LocalKey, ServiceAddress, read_address, write_address
from cli import running_service
from cli.running_service import AddressNotice, find_running, holder, installed_version

KEY = LocalKey.new()


class Answering(BaseHTTPRequestHandler):
    """A service that proves that it knows its key, and is starting for some requests."""

    key = KEY
    starting = 0
    asked = 0

    def do_GET(self) -> None:
        """Send the proof for a nonce."""
        kind = type(self)
        kind.asked += 1
        (nonce,) = parse_qs(urlsplit(self.path).query)["nonce"]
        told = {"proof": kind.key.proof(nonce), "starting": kind.asked <= kind.starting}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Keep the output of tests clean."""


@pytest.fixture
def service() -> Iterator[tuple[type[Answering], ServiceAddress]]:
    """Yield a service and its address."""
    kind = type("Told", (Answering,), {})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield kind, address(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the URL of a program that takes connections and answers each in its own way."""

    def accept() -> None:
        while True:
            try:
                link, _ = held.accept()
            except OSError:
                return
            with link, suppress(OSError):
                link.recv(65536)
                answer(link)

    with socket.create_server(("127.0.0.1", 0)) as held:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
        held.shutdown(socket.SHUT_RDWR)
        thread.join()


def every(seconds: float, link: socket.socket, sent: bytes) -> None:
    """Send the same again and again, until the other side hangs up."""
    while True:
        link.sendall(sent)
        time.sleep(seconds)


def address(url: str) -> ServiceAddress:
    """Return an address of this version, without a model."""
    return ServiceAddress(
        url=url,
        host=socket.gethostname(),
        secret=KEY.secret,
        pid=7,
        version=installed_version(),
        model="none",
        blobs_url="file:///x",
    )


def found(folder: Path, model: str | None = None, **named: object) -> ServiceAddress | None:
    """Return the service of a folder, for a command with such settings."""
    return find_running(settings.load(data=folder, **named), model, models=True)


def test_a_service_that_answers_is_found(
    service: tuple[type[Answering], ServiceAddress], tmp_path: Path
) -> None:
    """If the command names a model or a store, the service must have them."""
    _, told = service
    assert found(tmp_path) is None
    write_address(tmp_path, told)
    assert found(tmp_path) == found(tmp_path, "none") == told
    assert found(tmp_path, blobs_url=told.blobs_url) == told
    assert found(tmp_path, "another") is None
    assert found(tmp_path, blobs_url="file:///y") is None
    assert found(tmp_path, broker_url="redis://127.0.0.1:1/0") is None


def test_a_program_that_does_not_know_the_key_is_not_used(
    service: tuple[type[Answering], ServiceAddress], tmp_path: Path
) -> None:
    """It listens at the address of a service that was killed."""
    kind, told = service
    kind.key = LocalKey.new()
    write_address(tmp_path, told)
    assert found(tmp_path) is None
    assert kind.asked == 1


def test_a_service_that_is_gone_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints nothing about it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "nonsense", "http://[::"):
        write_address(tmp_path, address(url))
        assert found(tmp_path) is None
    assert holder(tmp_path) == ""
    assert capsys.readouterr().err == ""


def test_a_service_that_is_starting_is_waited_for(
    service: tuple[type[Answering], ServiceAddress],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command waits until the models are loaded, and prints that it does."""
    kind, told = service
    kind.starting = 3
    write_address(tmp_path, told)
    assert found(tmp_path) == told
    assert kind.asked == 4
    said = f"seenit: the service at {told.url} (process 7) is starting; this command waits for it\n"
    assert capsys.readouterr().err == said


def test_a_service_that_says_nothing_is_done_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command gives up after a while, if the process is stopped."""
    monkeypatch.setattr(running_service, "_WORDLESS_SECONDS", 0.05)
    monkeypatch.setattr(running_service, "_ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as held:
        told = address(f"http://127.0.0.1:{held.getsockname()[1]}")
        write_address(tmp_path, told)
        assert found(tmp_path) is None
        assert holder(tmp_path) == f"process 7 serves the data folder {tmp_path} at {told.url}"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("does not answer; this command does without it")


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early\r\n\r\n", b" "])
def test_a_program_that_never_ends_its_answer_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A byte now and then keeps no command waiting, and many bytes fill no memory."""
    monkeypatch.setattr(running_service, "_WORDLESS_SECONDS", 0.1)
    monkeypatch.setattr(running_service, "_ANSWER_SECONDS", 0.2)
    with answering(lambda link: every(0.02, link, sent)) as url:
        write_address(tmp_path, address(url))
        assert found(tmp_path) is None
    with answering(lambda link: every(0.0, link, sent * 1000)) as url:
        write_address(tmp_path, address(url))
        assert found(tmp_path) is None


@pytest.mark.parametrize(
    "body", [b"[" * 3000, b'{"proof": "\\ud800", "starting": []}', b"\xff\xfe{", b"null"]
)
def test_a_program_that_answers_nonsense_is_not_used(tmp_path: Path, body: bytes) -> None:
    """Its JSON may be nested as deep as it likes."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with answering(lambda link: link.sendall(head + body)) as url:
        write_address(tmp_path, address(url))
        assert found(tmp_path) is None


def test_a_service_of_another_machine_is_not_used(
    service: tuple[type[Answering], ServiceAddress], tmp_path: Path
) -> None:
    """A folder that both share names an address where this machine runs something else."""
    kind, told = service
    write_address(tmp_path, dataclasses.replace(told, host="another"))
    assert found(tmp_path) is None
    assert kind.asked == 0


def test_a_service_of_another_version_is_used_and_named(
    service: tuple[type[Answering], ServiceAddress],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The contract is that of /v1, whatever its version."""
    _, told = service
    old = dataclasses.replace(told, version="0.0.1")
    write_address(tmp_path, old)
    assert found(tmp_path) == old
    assert "is version 0.0.1 and this command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "reachable"),
    [
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("http://[::]:8000", "http://[::1]:8000"),
        ("http://192.0.2.7:8000", "http://192.0.2.7:8000"),
    ],
)
def test_a_notice_names_an_address_of_this_machine(
    tmp_path: Path, url: str, reachable: str
) -> None:
    """A service that listens on all addresses is named by that of loopback."""
    with AddressNotice(settings.load(data=tmp_path), url).until_done(first=True):
        told = read_address(tmp_path)
        assert told is not None
        assert told.url == reachable
    assert read_address(tmp_path) is None


def test_a_folder_that_takes_no_notice_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The service runs on, and commands do their work by themselves."""
    (tmp_path / "data").write_text("a file")
    notice = AddressNotice(settings.load(data=tmp_path / "data"), "http://127.0.0.1:1")
    with notice.until_done(first=True):
        pass
    assert "commands do not find this service" in caplog.text
