"""A machine without a way out: names answer from a table, and connections end on loopback."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest


class ClosedNetwork:
    """Patches the resolver and `connect` of this process, and records what they were given.

    A connection to an address in `servers` reaches that port of 127.0.0.1; another is refused.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, Sequence[str] | list[Sequence[str]]] = {}
        """Answers to a name; a list of lists gives one after another."""
        self.servers: dict[str, int] = {}
        self.resolved: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self._connect = socket.socket.connect
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", lambda *given: self._reach(*given))  # noqa: PLW0108 - a function is bound to its socket, a method is not

    def _getaddrinfo(self, host: str, port: int, **more: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        del more
        self.resolved.append(host)
        try:
            found: Any = [str(ip_address(host))]
        except ValueError:
            found = self.names.get(host)
        if isinstance(found, list) and found and not isinstance(found[0], str):
            found = found.pop(0)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in found
        ]

    def _reach(self, near: socket.socket, place: tuple[Any, ...]) -> None:
        self.connected.append((place[0], place[1]))
        port = self.servers.get(place[0])
        if port is None:
            raise ConnectionRefusedError(f"{place[0]}:{place[1]} cannot be reached in a test")
        self._connect(near, ("127.0.0.1", port))
