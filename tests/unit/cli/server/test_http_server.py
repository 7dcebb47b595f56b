"""The listening socket: what a connection accepted from it is like."""

import asyncio
import contextlib
import socket

import pytest

from cli.server.http_server import listener, url


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


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
