"""The network that one client has, by which connections and wrong keys are counted."""

from __future__ import annotations

import ipaddress


def client_network(address: str) -> str:
    """Return an IPv4 address as it is, and the half of an IPv6 one that a client is given whole.

    Text that is no address is returned unchanged.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))
