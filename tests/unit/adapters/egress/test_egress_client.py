"""Requests to named addresses: pinned to what was checked, sent as their caller wants."""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_network

import pytest

from adapters import settings
from adapters.egress.client import Answer, EgressClient
from adapters.factories import open_egress
from core.errors import MalformedError, RemoteError
from tests.doubles.closed_network import ClosedNetwork
from tests.doubles.egress_server import (
    CLIENT,
    OK,
    PUBLIC,
    Server,
    ask,
    constantly,
    failure,
    fetch,
)


def test_a_body_comes_from_the_checked_address_under_its_own_name(
    network: ClosedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved once; the environment's proxies, netrc and cookies play no part."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://203.0.113.9:3128")
    server = Server(constantly(OK))
    assert ask(network, server, fetch("http://ONE.test:8080/a?b=c")) == b"hi"
    assert (network.resolved, network.connected) == (["one.test"], [(PUBLIC, 8080)])
    (head,) = server.heads
    assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"\r\nhost: one.test:8080\r\n" in head.lower()
    assert b"accept-encoding: identity" in head.lower()


def test_a_name_that_changes_between_check_and_connection_changes_nothing(
    network: ClosedNetwork,
) -> None:
    """DNS rebinding: there is no second look-up, and a check in advance counts for nothing."""
    network.names["one.test"] = [[PUBLIC], ["127.0.0.1"], [PUBLIC, "127.0.0.1"]]
    assert ask(network, Server(constantly(OK)), fetch()) == b"hi"
    assert network.resolved == ["one.test"]
    for _ in range(2):
        with pytest.raises(MalformedError):
            asyncio.run(CLIENT.check_url("http://one.test/"))
    assert network.connected == [(PUBLIC, 80)]


def test_the_next_address_is_tried_where_one_refuses(network: ClosedNetwork) -> None:
    """Only checked ones, and a few at most."""
    dead = [f"1.1.1.{number}" for number in range(9)]
    network.names["one.test"] = [*dead[:3], PUBLIC]
    assert ask(network, Server(constantly(OK)), fetch()) == b"hi"
    network.names["one.test"] = dead
    assert "no valid HTTP answer" in failure(network, Server(constantly(OK)), fetch()).detail
    assert len(network.connected) == 8


def test_tls_names_and_verifies_the_host_not_the_address(
    network: ClosedNetwork, tls: ssl.SSLContext
) -> None:
    """SNI is the original host; a certificate of another host is refused."""
    network.names["other.test"] = [PUBLIC]
    server = Server(constantly(OK), tls)
    client = EgressClient()
    assert ask(network, server, fetch("https://one.test/"), client) == b"hi"
    assert server.names == ["one.test"]
    assert network.connected == [(PUBLIC, 443)]
    server = Server(constantly(OK), tls)
    assert isinstance(failure(network, server, fetch("https://other.test/"), client), RemoteError)
    assert server.heads == []


@pytest.mark.parametrize("proxied", ["http://one.test/a", "https://one.test/a"])
def test_the_operators_proxy_gets_the_checked_address(
    network: ClosedNetwork, tls: ssl.SSLContext, proxied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It resolves nothing, so that its network cannot be reached by a name of a caller's."""
    heads = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        far, to = await asyncio.open_connection("127.0.0.1", far_port)
        await asyncio.gather(pump(reader, to), pump(far, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    monkeypatch.setenv("SEENIT_EGRESS_PROXY", "http://us%3Aer:p%40ss@127.0.0.7:3128/")
    server = Server(constantly(OK), tls if proxied.startswith("https") else None)
    far_port = 0

    async def run() -> None:
        nonlocal far_port
        client = open_egress(settings.load())
        async with server.running() as far_port:
            network.servers["127.0.0.1"] = far_port
            near = await asyncio.start_server(tunnel, "127.0.0.1", 0)
            async with near:
                network.servers["127.0.0.7"] = near.sockets[0].getsockname()[1]
                assert await client.fetch(proxied, most_bytes=10) == b"hi"
        with pytest.raises(MalformedError):
            await client.fetch("http://10.0.0.1/", most_bytes=10)
        with pytest.raises(RemoteError):
            await client.fetch(proxied, most_bytes=10)

    asyncio.run(run())
    port = b"443" if proxied.startswith("https") else b"80"
    (head,) = heads
    assert head.startswith(b"CONNECT " + PUBLIC.encode() + b":" + port + b" HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXM6ZXI6cEBzcw==\r\n" in head
    (inner,) = server.heads
    assert b"proxy-authorization" not in inner.lower()
    assert b"host: one.test\r\n" in inner.lower()


def test_a_proxy_that_refuses_is_no_answer(network: ClosedNetwork) -> None:
    """Its status stays unknown to the caller."""
    network.names["one.test"] = ["1.1.1.1"]
    client = EgressClient(proxy=f"http://{PUBLIC}:3128")
    server = Server(constantly(b"HTTP/1.1 407 Denied by 10.0.0.3\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(RemoteError, match="gave no valid HTTP answer") as error:
        ask(network, server, fetch(), client)
    assert "10.0.0.3" not in error.value.detail


# --- what is sent ---------------------------------------------------------------------------------


def test_post_sends_body_and_headers(network: ClosedNetwork) -> None:
    """With the caller's headers; the answer has its own."""
    server = Server(constantly(b"HTTP/1.1 410 Gone\r\nRetry-After: 5\r\n\r\nbye"))
    answer = ask(
        network,
        server,
        lambda client: client.post(
            "http://one.test/hook", b"{}", headers={"Webhook-Id": "1", "User-Agent": "Other"}
        ),
    )
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.complete) == (410, b"bye", True)
    assert answer.headers["retry-after"] == "5"
    (head,) = (head.lower() for head in server.heads)
    assert b"\r\nwebhook-id: 1\r\n" in head
    assert b"\r\ncontent-length: 2\r\n" in head
    assert head.count(b"user-agent") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "redis"),
        ("hOsT", "redis"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Proxy-Authorization", "Basic x"),
        ("X\r\nHost", "redis"),
        ("X", "a\r\nHost: redis"),
        ("X", "a\nb"),
        ("X", "\x00"),
        ("X", "\u00e9"),
        ("X:", "a"),
        ("", "a"),
    ],
)
def test_a_header_that_moves_or_splits_the_request_is_refused(
    network: ClosedNetwork, name: str, value: str
) -> None:
    """Nothing of it is sent."""
    server = Server(constantly(OK))
    request = lambda client: client.post("http://one.test/", b"", headers={name: value})  # noqa: E731
    error = failure(network, server, request)
    assert (error.field, error.status) == ("headers", 400)
    assert server.heads == []


def test_settings_reach_the_client(network: ClosedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEENIT_EGRESS_ALLOW opens a network, its mapped form included."""
    monkeypatch.setenv("SEENIT_EGRESS_ALLOW", "127.0.0.0/8, 10.1.0.0/16")
    read = settings.load()
    assert read.egress_allow == (ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"))
    network.names["near.test"] = ["127.0.0.1"]

    async def run() -> bytes:
        async with Server(constantly(OK)).running() as port:
            network.servers["127.0.0.1"] = port
            client = open_egress(read)
            return await client.fetch(f"http://near.test:{port}/", most_bytes=10)

    assert asyncio.run(run()) == b"hi"
