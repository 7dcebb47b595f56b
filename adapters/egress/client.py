"""HTTP client for addresses that callers name: checked, pinned, bounded in bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import httpcore

from adapters.egress.address_guard import AddressGuard, Network
from adapters.egress.pinned_network import PinnedNetwork, TrafficMeter
from adapters.egress.web_address import WebAddress, parse
from core.errors import MalformedError, RemoteError, TooLargeError

REDIRECTS = (301, 302, 303, 307, 308)
OURS = frozenset(
    (
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"),
        "upgrade",
    )
)
"""Headers that decide where a request goes and where it ends; callers cannot set them."""


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case and body of a response; redirects are answers like others."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool
    """False if the body goes on past the limit."""


class EgressClient:
    """Client that reaches public hosts and allowed networks alone.

    Each request resolves its host once, and connects to an address that was checked, with the
    host's own name in Host and TLS. Variables of the environment name no proxy here.
    """

    def __init__(self, allow: Sequence[Network] = (), proxy: str = "") -> None:
        self._guard = AddressGuard(allow)
        self._proxy = proxy
        # Its own certificates and those of SSL_CERT_FILE: allowed networks have private ones.
        self._ssl = httpcore.default_ssl_context()

    async def check_url(self, url: str, *, seconds: float = 10.0, field: str = "url") -> None:
        """Raise MalformedError unless the URL may be requested now; each request checks again.

        Raise RemoteError if its host is not resolved within `seconds`.
        """
        address = parse(url, field)
        with _remote_errors(address, field, seconds):
            async with asyncio.timeout(seconds):
                await self._guard.resolve(address, field)

    async def fetch(
        self,
        url: str,
        *,
        most_bytes: int,
        seconds: float = 30.0,
        redirects: int = 3,
        field: str = "url",
    ) -> bytes:
        """Return the body at a URL, within `seconds` in all; each redirect is checked like the URL.

        Raise MalformedError for a URL that may not be requested, TooLargeError for more than
        `most_bytes`, RemoteError for another status than success, for no answer, or a late one.
        """
        address = parse(url, field)
        with _remote_errors(address, field, seconds):
            async with asyncio.timeout(seconds):
                for _ in range(redirects + 1):
                    answer = await self._exchange("GET", address, field, most_bytes)
                    if answer.status not in REDIRECTS:
                        return _content(answer, address, field, most_bytes)
                    address = _redirected(address, answer, field)
        raise RemoteError(f"{field}: more than {redirects} redirects (limit)", field=field)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        most_bytes: int = 4096,
        seconds: float = 15.0,
        field: str = "url",
    ) -> Answer:
        """Send a body and return the answer, its body cut at `most_bytes`; follow no redirect.

        Raise MalformedError for a URL or a header that may not be sent, RemoteError for no answer
        within `seconds`.
        """
        for name in headers:
            if name.lower() in OURS:
                raise MalformedError(f"headers: {name} is set by Seenit", field="headers")
        address = parse(url, field)
        with _remote_errors(address, field, seconds):
            async with asyncio.timeout(seconds):
                return await self._exchange(
                    "POST", address, field, most_bytes, headers=headers, content=body
                )

    async def _exchange(
        self,
        method: str,
        address: WebAddress,
        field: str,
        most_bytes: int,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        meter = TrafficMeter()
        network = PinnedNetwork(await self._guard.resolve(address, field), self._proxy, meter)
        parts = httpcore.URL(
            scheme=address.scheme.encode(),
            host=address.host.encode(),
            port=address.port,
            target=address.target.encode(),
        )
        sent = {"user-agent": "Seenit", "accept": "*/*"}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        sent |= {"host": address.authority, "accept-encoding": "identity", "connection": "close"}
        lines = [(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()]
        async with (
            httpcore.AsyncConnectionPool(self._ssl, network_backend=network) as pool,
            pool.stream(method, parts, headers=lines, content=content) as response,
        ):
            body = bytearray()
            async for part in response.aiter_stream():
                meter.body += len(part)
                body += part[: most_bytes - len(body)]
                if meter.body > most_bytes:
                    break
            told = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return Answer(response.status, told, bytes(body), meter.body <= most_bytes)


def _content(answer: Answer, address: WebAddress, field: str, most_bytes: int) -> bytes:
    """Return the body of a complete success. Raise RemoteError or TooLargeError."""
    coding = answer.headers.get("content-encoding", "identity").lower()
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - success
        raise RemoteError(f"{field}: {address} answered {answer.status}", field=field)
    if coding != "identity":  # nothing is inflated: a small body could hold gigabytes
        raise RemoteError(
            f"{field}: {address} answered with Content-Encoding {coding[:40]!r}, which was not "
            "requested",
            field=field,
        )
    if not answer.complete:
        raise TooLargeError(f"{field}: more than {most_bytes} bytes at {address}", field=field)
    return answer.body


def _redirected(address: WebAddress, answer: Answer, field: str) -> WebAddress:
    """Return where a redirect leads. Raise RemoteError for no URL, or one that gives up TLS."""
    url = urljoin(f"{address}{address.target}", answer.headers.get("location", ""))
    try:
        further = parse(url, field)
    except MalformedError as error:
        raise RemoteError(f"{field}: {address} redirects to no valid URL", field=field) from error
    if address.scheme == "https" != further.scheme:
        raise RemoteError(f"{field}: {address} redirects to http://, without TLS", field=field)
    return further


@contextmanager
def _remote_errors(address: WebAddress, field: str, seconds: float) -> Iterator[None]:
    """Translate errors of sockets, TLS and httpcore; their texts may name addresses inside."""
    try:
        yield
    except (httpcore.LocalProtocolError, UnicodeEncodeError) as error:
        raise MalformedError(
            "headers: a name or value is no HTTP header", field="headers"
        ) from error
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise RemoteError(
            f"{field}: {address} did not answer in full (limit {seconds:g} s)", field=field
        ) from error
    except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        raise RemoteError(f"{field}: {address} gave no valid HTTP answer", field=field) from error
