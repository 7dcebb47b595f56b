"""Connections to addresses that were checked before, directly or through the operator's proxy."""

# ruff: noqa: ASYNC109 - httpcore's interface has these parameters

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes, urlsplit

import httpcore

from adapters.egress.address_guard import IPAddress

CONNECT_SECONDS = 5.0
"""Time for one address of several to accept a connection, as httpx has it."""
MOST_ADDRESSES = 4
"""Addresses of one host that are tried, so that the first dead ones leave time for a live one."""
OVERHEAD_BYTES = 256 * 1024
"""Bytes beside the body: h11 bounds a head at 100 kB, and 64 kB wait for it at most."""
BODY_SHARE = 1.05
"""Bytes received for each of the body, which chunks of 120 bytes reach. Smaller ones cost CPU and
bring nothing (measured: a body of 32 MiB 10 s in chunks of 24 bytes, 0.45 s in those of 1,000)."""
READ_BYTES = 16 * 1024
"""Bytes taken at a time, so that their framing occupies the event loop for a moment only."""


class TrafficMeter:
    """Received bytes of one exchange, and how many of them were body."""

    def __init__(self) -> None:
        self.received = 0
        self.body = 0

    def count_received(self, size: int) -> None:
        """Count bytes off the connection. Raise RemoteProtocolError if too few become body."""
        self.received += size
        if self.received > OVERHEAD_BYTES + BODY_SHARE * self.body:
            raise httpcore.RemoteProtocolError("heads and framing outweigh the body")


class PinnedNetwork(httpcore.AsyncNetworkBackend):
    """A network in which every host has the given addresses; no name is looked up again."""

    def __init__(self, addresses: Sequence[IPAddress], proxy: str, meter: TrafficMeter) -> None:
        self._addresses = addresses[:MOST_ADDRESSES]
        self._proxy = proxy
        self._direct = _MeteredNetwork(meter)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts. Raise ConnectError or ConnectTimeout."""
        del host, timeout, local_address, socket_options
        failed: Exception = httpcore.ConnectError("no address")
        for ip in self._addresses:
            try:
                if self._proxy:
                    return await self._tunnel(ip, port)
                return await self._direct.connect_tcp(str(ip), port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def _tunnel(self, ip: IPAddress, port: int) -> httpcore.AsyncNetworkStream:
        """Connect through the proxy by CONNECT, for http:// too: it gets an address, no name."""
        parts, proxy = urlsplit(self._proxy), httpcore.URL(self._proxy)
        place = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"  # noqa: PLR2004
        headers = [("Host", place)]
        if parts.username is not None:
            pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
            headers += [("Proxy-Authorization", f"Basic {base64.b64encode(pair).decode()}")]
        target = httpcore.URL(
            scheme=proxy.scheme, host=proxy.host, port=proxy.port, target=place.encode()
        )
        connection = httpcore.AsyncHTTPConnection(proxy.origin, network_backend=self._direct)
        response = await connection.handle_async_request(
            httpcore.Request("CONNECT", target, headers=headers)
        )
        if not 200 <= response.status < 300:  # noqa: PLR2004 - success
            await connection.aclose()
            raise httpcore.ProxyError(f"the proxy answered {response.status}")
        stream: httpcore.AsyncNetworkStream = response.extensions["network_stream"]
        return stream


class _MeteredNetwork(httpcore.AsyncNetworkBackend):
    """The machine's own network, with a meter on each connection."""

    def __init__(self, meter: TrafficMeter) -> None:
        self._meter = meter
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del timeout
        stream = await self._tcp.connect_tcp(
            host, port, CONNECT_SECONDS, local_address, socket_options
        )
        return _MeteredStream(stream, self._meter)


class _MeteredStream(httpcore.AsyncNetworkStream):
    """A connection that ends where its bytes are out of proportion to the body."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, meter: TrafficMeter) -> None:
        self._stream = stream
        self._meter = meter

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._meter.count_received(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:  # a deadline, after which httpcore leaves the socket open
            await self._stream.aclose()
            raise
        return _MeteredStream(stream, self._meter)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
