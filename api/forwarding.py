"""Detection of requests that a proxy passed on, and the proxies that are trusted.

Without keys a request over loopback counts as this machine's own. A proxy on the same machine (a
tunnel, a web server) would pass on requests from anywhere; its headers show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple

_BEGIN = (
    "x-forwarded",
    "cf-",
    "cloudfront-",
    "tailscale-",
    "x-appengine-",
    "x-azure-",
    "x-envoy-",
    "x-original-",
    "x-proxy",
    "x-vercel-",
    "x-nf-",
    "x-sucuri-",
)
_NAMED = frozenset(
    {
        "forwarded",
        "forwarded-for",
        "via",
        "x-via",
        "x-varnish",
        "x-nginx-proxy",
        "x-rewrite-url",
        "do-connecting-ip",
        "incap-client-ip",
        "ngrok-auth-user-email",
        "x-real-ip",
        "x-real-port",
        "x-remote-ip",
        "x-remote-addr",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-amz-cf-id",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-arr-ssl",
        "x-host",
        "client-ip",
        "true-client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "proxy-client-ip",
        "wl-proxy-client-ip",
        "cdn-loop",
        "ngrok-trace-id",
    }
)
"""Headers that proxies, load balancers, CDNs and tunnels add, beside those of `_BEGIN`."""

_PORT = re.compile(r"^\[?([0-9.]+|(?<=\[)[^\]]+)\]?(?::\d+)?$")
"""An IPv4 address, or an IPv6 one in brackets, as some proxies write them: with a port."""

Network = IPv4Network | IPv6Network


class TrustedProxies(NamedTuple):
    """The proxies whose headers are believed (SEENIT_TRUSTED_PROXY)."""

    networks: tuple[Network, ...]

    def trust(self, scope: Any) -> bool:  # noqa: ANN401 - a TypedDict of the framework's
        """Return whether the request came from one of them.

        A server that rewrites the peer from X-Forwarded-For leaves no port: the peer is then
        unknown, and not trusted.
        """
        host, port = scope.get("client") or ("", 0)
        if not port:
            return False
        address = _address(host)
        return address is not None and self._named(address)

    def client(self, scope: Any) -> str:  # noqa: ANN401 - as above
        """Return the caller's address: the peer's, or the one that trusted proxies report.

        Each proxy adds its peer at the end of X-Forwarded-For, so the last address that is no
        trusted proxy counts; those before it are the caller's own invention.
        """
        found = str((scope.get("client") or ("", 0))[0])
        if not self.trust(scope):
            return found
        sent = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for hop in reversed(b",".join(sent).decode("latin-1").split(",")):
            address = _address(_PORT.sub(r"\1", hop.strip()))
            if address is None:
                break
            found = str(address)
            if not self._named(address):
                break
        return found

    def _named(self, address: IPv4Address | IPv6Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)

    def scheme(self, scope: Any) -> str:  # noqa: ANN401 - as above
        """Return http or https: as a trusted proxy reports it, else as the request came."""
        if self.trust(scope):
            sent = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
            if len(sent) == 1 and sent[0].lower() in (b"http", b"https"):
                return str(sent[0].decode().lower())
        return str(scope["scheme"])


def sign(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the name of the first header that a proxy added, None if there is none."""
    for name, _ in headers:
        known = name.decode("latin-1").lower().replace("_", "-")
        if known in _NAMED or known.startswith(_BEGIN):
            return known
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
