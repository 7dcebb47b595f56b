"""A server on loopback that answers requests to named addresses as a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.egress.client import Answer, EgressClient
from core.errors import SeenitError
from tests.doubles.closed_network import ClosedNetwork

PUBLIC = "93.184.216.34"
CLIENT = EgressClient()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Answering = Callable[[bytes], AsyncIterator[bytes]]
Request = Callable[[EgressClient], Awaitable[bytes | Answer]]


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
