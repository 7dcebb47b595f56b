"""Requests to named addresses: pinned to what was checked, bounded in bytes, time and redirects."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters import settings
from adapters.egress.client import Answer, EgressClient
from adapters.factories import open_egress
from core.errors import MalformedError, RemoteError, SeenitError, TooLargeError
from tests.doubles.closed_network import ClosedNetwork

PUBLIC = "93.184.216.34"
CLIENT = EgressClient()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Answering = Callable[[bytes], AsyncIterator[bytes]]
Request = Callable[[EgressClient], Awaitable[bytes | Answer]]


@pytest.fixture(name="network")
def closed_network(monkeypatch: pytest.MonkeyPatch) -> ClosedNetwork:
    """Return the network of a test, with one public host."""
    network = ClosedNetwork(monkeypatch)
    network.names["one.test"] = [PUBLIC]
    return network


class Server:
    """A server on loopback that sends what `answer` yields for a head, and keeps the heads."""

    def __init__(self, answer: Answering, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.names: list[str | None] = []
        self.sent = 0
        self.open = 0
        self._answer = answer
        self._context = context

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Serve on a free port."""
        if self._context:
            self._context.sni_callback = lambda _, name, __: self.names.append(name)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            async for part in self._answer(head):
                writer.write(part)
                await writer.drain()
                self.sent += len(part)
        except (OSError, EOFError):
            pass
        finally:
            self.open -= 1
            writer.close()


def constantly(*parts: bytes, wait: float = 0.0, forever: bool = False) -> Answering:
    """Answer every request with some bytes, the last of them for ever if so wanted."""

    async def answer(head: bytes) -> AsyncIterator[bytes]:
        del head
        for part in parts:
            yield part
            await asyncio.sleep(wait)
        while forever:
            yield parts[-1]
            await asyncio.sleep(wait)

    return answer


def ask(
    network: ClosedNetwork,
    server: Server,
    request: Request,
    client: EgressClient | None = None,
) -> bytes | Answer:
    """Run one request beside a server that stands for the public host."""

    async def run() -> bytes | Answer:
        async with server.running() as port:
            network.servers[PUBLIC] = network.servers["93.184.216.35"] = port
            try:
                return await request(client or CLIENT)
            finally:
                async with asyncio.timeout(2):  # the connection is closed with the request
                    while server.open:  # noqa: ASYNC110 - the server belongs to the test
                        await asyncio.sleep(0.001)

    return asyncio.run(run())


def fetch(url: str = "http://one.test/a", most: int = 100, seconds: float = 5.0) -> Request:
    """Return the request for the body at a URL."""
    return lambda client: client.fetch(url, most_bytes=most, seconds=seconds, field="image_url")


def failure(
    network: ClosedNetwork, server: Server, request: Request, client: EgressClient | None = None
) -> SeenitError:
    """Return the error of a request, which names its field."""
    with pytest.raises(SeenitError) as error:
        ask(network, server, request, client)
    assert error.value.field in ("image_url", "headers")
    return error.value


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


@pytest.fixture(name="tls")
def private_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's side of TLS for one.test, by an authority that SSL_CERT_FILE names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "one.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("one.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "one.pem"
    text = certificate.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(
        text
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "authority.pem").write_bytes(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


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


# --- redirects ------------------------------------------------------------------------------------


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


# --- hostile answers ------------------------------------------------------------------------------


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
