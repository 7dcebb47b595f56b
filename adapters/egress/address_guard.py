"""Which IP addresses may be reached: those of the public Internet, and networks by setting."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import psutil

from adapters.egress.web_address import WebAddress
from core.errors import MalformedError

IPAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = (80, 443, 8080, 8443)
"""Ports of public hosts: what listens on others is seldom a web server."""
RESOLVER_THREADS = 8
"""Names resolved at once: a slow name server holds up other fetches and nothing else."""
_REFUSED = tuple(
    map(
        ip_network,
        (
            # IANA's special-purpose registry, multicast and reserved ranges
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
            *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            "168.63.129.16/32",  # Azure's host, which only its own virtual machines reach
            # within 2000::/3: protocols and Teredo, documentation, 6to4
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
"""The block that public IPv6 addresses are taken from. Beyond it lie loopback, private, link-local
and multicast ones, and those that embed an IPv4 address (mapped, compatible, NAT64)."""

logger = logging.getLogger(__name__)


def canonical(ip: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv4-mapped one stands for, any other as it is."""
    return getattr(ip, "ipv4_mapped", None) or ip


def is_public(ip: IPAddress) -> bool:
    """Return whether a canonical address is one of the public Internet."""
    if ip.version == 6 and ip not in _GLOBAL_V6:  # noqa: PLR2004
        return False
    return not any(ip in network for network in _REFUSED)


class AddressGuard:
    """Resolver of hosts that answers only if every address may be reached."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="egress-resolver")

    async def resolve(self, address: WebAddress, field: str) -> list[IPAddress]:
        """Resolve the host once and return its addresses, in the resolver's order.

        Raise MalformedError unless all of them are public or in an allowed network. A name that
        does not exist gets the same error as one that leads inside, so that the answer does not
        reveal which names the inner network has.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._checked, address, field)

    def _checked(self, address: WebAddress, field: str) -> list[IPAddress]:
        found = _look_up(address)
        strange = [ip for ip in found if not any(ip in network for network in self._allow)]
        if not found or not all(map(is_public, strange)) or _own().intersection(strange):
            about = {"host": address.host, "addresses": [str(ip) for ip in found]}
            logger.info("egress_refused", extra=about)
            raise MalformedError(
                f"{field}: {address.host} could not be resolved, or is neither a host of the "
                "public Internet nor in a network of SEENIT_EGRESS_ALLOW",
                field=field,
            )
        if strange and address.port not in PORTS:
            raise MalformedError(
                f"{field}: port {address.port} is not allowed; "
                f"use {', '.join(map(str, PORTS[:-1]))} or {PORTS[-1]}",
                field=field,
            )
        return found


def _look_up(address: WebAddress) -> list[IPAddress]:
    try:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(canonical(ip_address(answer[4][0])) for answer in answers))


def _own() -> set[IPAddress]:
    """Return this machine's addresses: a public one reaches ports that a firewall hides."""
    found = set()
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                found.add(ip_address(one.address))
    return found
