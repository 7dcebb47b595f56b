"""Answers to requests to named addresses: bounded in bytes, time and CPU."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.egress.client import Answer, EgressClient
from core.errors import RemoteError, SeenitError, TooLargeError
from tests.doubles.closed_network import ClosedNetwork
from tests.doubles.egress_server import (
    Server,
    ask,
    constantly,
    failure,
    fetch,
)


def chunked(size: int) -> bytes:
    """Return a chunk of a body."""
    return f"{size:x}\r\n".encode() + b"a" * size + b"\r\n"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"


@pytest.mark.parametrize("head", [CHUNKED, LONG, b"HTTP/1.0 200 OK\r\n\r\n"])
def test_an_endless_body_is_cut_off_at_the_limit(network: ClosedNetwork, head: bytes) -> None:
    """Chunked, with a false length, or up to the end of the connection."""
    part = chunked(50_000) if head is CHUNKED else b"a" * 50_000
    server = Server(constantly(head, part, forever=True))
    error = failure(network, server, fetch(most=300_000))
    assert isinstance(error, TooLargeError)
    assert server.sent < 8_000_000  # the limit, and what the buffers of two sockets hold
    asked = lambda client: client.post("http://one.test/", b"", headers={}, most_bytes=1000)  # noqa: E731
    answer = ask(network, Server(constantly(head, part, forever=True)), asked)
    assert isinstance(answer, Answer)
    assert (len(answer.body), answer.complete) == (1000, False)


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (CHUNKED, chunked(1) * 1000),
        (CHUNKED, b"1;" + b"x" * 60_000 + b"\r\na\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 103 Hints\r\nLink: " + b"a" * 60_000 + b"\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"a" * 9000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 9000),
        (b"", b"a" * 9000),
        (CHUNKED, b"0" * 9000),
        (CHUNKED + b"0\r\n", b"X: " + b"a" * 9000 + b"\r\n"),
    ],
    ids=["chunks", "extensions", "continue", "hints", "headers", "header", "status", "size", "end"],
)
def test_endless_framing_is_cut_off_before_it_costs_anything(
    network: ClosedNetwork, first: bytes, more: bytes
) -> None:
    """Bytes that never become a body end the exchange after some hundred kilobytes."""
    server = Server(constantly(first, more, forever=True))
    began = time.process_time()
    assert isinstance(failure(network, server, fetch(most=10**9, seconds=20)), RemoteError)
    assert server.sent < 8_000_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("first", "more"),
    [(LONG, b"a"), (CHUNKED, chunked(1)), (b"H", b"T"), (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")],
    ids=["body", "chunks", "status", "headers"],
)
def test_a_slow_answer_ends_at_the_deadline(
    network: ClosedNetwork, first: bytes, more: bytes
) -> None:
    """One byte every few milliseconds keeps no read waiting, and still has a total time."""
    server = Server(constantly(first, more, wait=0.005, forever=True))
    began = time.monotonic()
    error = failure(network, server, fetch(seconds=0.3))
    assert "did not answer in full (limit 0.3 s)" in error.detail
    assert time.monotonic() - began < 2


def test_redirects_share_one_deadline(network: ClosedNetwork) -> None:
    """Each hop may not take the time of the whole."""
    server = Server(constantly(b"HTTP/1.1 302 Go\r\nLocation: /\r\n", b"\r\n", wait=0.2))
    began = time.monotonic()
    assert "limit 0.5 s" in failure(network, server, fetch(seconds=0.5)).detail
    assert time.monotonic() - began < 2


def test_a_server_that_never_speaks_and_a_resolver_that_never_answers_end_too(
    network: ClosedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline covers the TLS handshake and the look-up; others wait for neither."""
    server = Server(constantly(b"", forever=True, wait=0.01))
    assert isinstance(
        failure(network, server, fetch("https://one.test/", seconds=0.2)), RemoteError
    )
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(0.6) or [])

    async def run() -> None:
        client = EgressClient()
        began = time.monotonic()
        slow = [
            client.fetch("http://slow.test/", most_bytes=1, seconds=0.1, field="image_url")
            for _ in range(100)
        ]
        slow.append(client.check_url("http://slow.test/", seconds=0.1))
        errors = await asyncio.gather(*slow, return_exceptions=True)
        assert {type(error) for error in errors} == {RemoteError}
        await asyncio.to_thread(lambda: None)  # the loop's own threads are free
        assert time.monotonic() - began < 0.5

    asyncio.run(run())


def test_a_compressed_body_is_never_inflated(network: ClosedNetwork) -> None:
    """A gzip bomb of a few kilobytes stays a few kilobytes, and is refused."""
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    server = Server(constantly(head.encode() + bomb))
    assert "'gzip', which was not" in failure(network, server, fetch(most=10**6)).detail
    answer = ask(
        network,
        Server(constantly(head.encode() + bomb)),
        lambda client: client.post("http://one.test/", b"", headers={}, most_bytes=10**6),
    )
    assert isinstance(answer, Answer)
    assert answer.body == bomb


@pytest.mark.parametrize("status", [304, 404, 500, 999])
def test_another_status_than_success_is_an_error_without_its_body(
    network: ClosedNetwork, status: int
) -> None:
    """The text of an error page goes to no caller."""
    server = Server(constantly(f"HTTP/1.1 {status} Why\r\n\r\nhidden".encode()))
    told = failure(network, server, fetch()).detail
    assert told == f"image_url: http://one.test answered {status}"


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, LONG[:-2]]))
def test_any_answer_is_a_body_or_one_of_our_errors(
    network: ClosedNetwork, data: bytes, begin: bytes
) -> None:
    """Garbage of any kind raises no error of a library."""
    with suppress(SeenitError):
        ask(network, Server(constantly(begin + data)), fetch(most=1000))
