"""The listening socket and the server: what connections to them are like."""

import asyncio
import contextlib
import socket

import httpx
import pytest

from cli.server.connection_limits import ConnectionLimits
from cli.server.http_server import HTTPServer, listener, url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listener_connections_send_without_delay(host: str) -> None:
    """With Nagle's algorithm an answer in two writes waits for the client's delayed ACK."""

    async def accepted(bound: socket.socket) -> bool:
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held = writer.get_extra_info("socket")
            seen.set_result(bool(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname()[:2])
            answer = await asyncio.wait_for(seen, 60)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return answer

    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with listener(host, 0) as bound:
        assert url(bound).startswith("http://")
        assert asyncio.run(accepted(bound.dup()))


def test_idle_connections_outlive_those_of_clients() -> None:
    """If the server closed first, a request already on its way would be lost."""
    client = httpx.Limits()
    load_balancer = 60.0
    server = HTTPServer(object(), lambda: None, ConnectionLimits(10, 10))
    assert client.keepalive_expiry is not None
    assert server.config.timeout_keep_alive > max(client.keepalive_expiry, load_balancer)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
