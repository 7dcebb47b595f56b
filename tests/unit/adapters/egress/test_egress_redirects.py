"""Redirects of requests to named addresses: each hop is checked, and they end."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from adapters.egress.client import Answer, EgressClient
from tests.doubles.closed_network import ClosedNetwork
from tests.doubles.egress_server import (
    OK,
    PUBLIC,
    Answering,
    Server,
    ask,
    constantly,
    failure,
    fetch,
)


def redirecting(*places: str, status: int = 302) -> Answering:
    """Redirect to one place after another, then answer."""
    left = [*places]

    async def answer(head: bytes) -> AsyncIterator[bytes]:
        del head
        if left:
            yield f"HTTP/1.1 {status} Go\r\nLocation: {left.pop(0)}\r\n".encode()
            yield b"Content-Length: 0\r\n\r\n"
        else:
            yield OK

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_one_checked_hop_after_another(
    network: ClosedNetwork, status: int
) -> None:
    """Relative ones and those to other public hosts; each host is resolved for its hop."""
    network.names["two.test"] = ["93.184.216.35"]
    server = Server(redirecting("/b", "//two.test/c", "d?e", status=status))
    assert ask(network, server, fetch()) == b"hi"
    assert [head.split(b" ")[1] for head in server.heads] == [b"/a", b"/b", b"/c", b"/d?e"]
    assert network.resolved == ["one.test", "one.test", "two.test", "two.test"]


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://redis:6379/",
        "//10.0.0.1/",
        "http://0x7f000001/",
        "http://user@one.test/",
        "file:///etc/passwd",
        "http://one.test:22/",
        "http://\u00e9.test/",
        "http://one.test/\\..",
    ],
)
def test_a_redirect_inside_is_not_followed(network: ClosedNetwork, place: str) -> None:
    """The second hop is refused as if the caller had named it."""
    network.names["redis"] = ["172.18.0.2"]
    server = Server(redirecting(place))
    assert failure(network, server, fetch()).status in (400, 502)
    assert network.connected == [(PUBLIC, 80)]


def test_redirects_end(network: ClosedNetwork, tls: ssl.SSLContext) -> None:
    """After three, without a place, and where TLS would be given up."""
    server = Server(redirecting(*["/"] * 9))
    assert "more than 3 redirects" in failure(network, server, fetch()).detail
    assert len(server.heads) == 4
    server = Server(constantly(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n"))
    assert "redirects" in failure(network, server, fetch()).detail
    server = Server(redirecting("http://one.test/"), tls)
    assert (
        "without TLS" in failure(network, server, fetch("https://one.test/"), EgressClient()).detail
    )


def test_post_returns_a_redirect_instead_of_following_it(network: ClosedNetwork) -> None:
    """A webhook's body goes to no other place."""
    server = Server(redirecting("http://one.test/elsewhere", status=307))
    answer = ask(network, server, lambda client: client.post("http://one.test/", b"{}", headers={}))
    assert isinstance(answer, Answer)
    assert (answer.status, len(server.heads)) == (307, 1)
