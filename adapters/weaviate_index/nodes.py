"""Addresses of Weaviate's nodes, parsed from the setting."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from core.errors import SettingsError

HTTP = 8080
GRPC = 50051
"""Default ports of Weaviate."""


class WeaviateNode(NamedTuple):
    """Host and ports of one server."""

    host: str
    http: int = HTTP
    grpc: int = GRPC

    def __str__(self) -> str:
        return f"{self.host}:{self.http}"


def parse(url: str) -> list[WeaviateNode]:
    """Parse the nodes of `weaviate://HOST[:HTTP[:GRPC]],HOST…`, IPv6 in brackets.

    Raise SettingsError for anything else.
    """
    scheme, _, rest = url.partition("://")
    found = [_node(part.strip()) for part in rest.split("/")[0].split(",") if part.strip()]
    if scheme not in ("weaviate", "weaviates") or not found:
        raise SettingsError(
            "SEENIT_INDEX_URL: name the nodes as weaviate://HOST[:HTTP[:GRPC]],HOST…"
        )
    return found


def _node(text: str) -> WeaviateNode:
    closing = text.rfind("]")
    head, tail = text[: closing + 1], text[closing + 1 :]
    host, *ports = (head + tail).rsplit(":", tail.count(":")) if head else tail.split(":")
    try:
        numbers = [int(port) for port in ports]
        urlsplit(f"//{host}:{[*numbers, 0][0]}").port  # noqa: B018  # raises for a port out of range
    except ValueError:
        numbers = [-1]
    if not host or len(numbers) > 2 or not all(0 < port < 1 << 16 for port in numbers):  # noqa: PLR2004
        raise SettingsError(f"SEENIT_INDEX_URL: {text!r} is not HOST[:HTTP[:GRPC]]")
    return WeaviateNode(host.strip("[]"), *numbers)
