"""Requests whose end two servers could see in different places, and hosts that are no host.

A proxy and the service behind it must agree on where a request ends; where they do not, the rest of
one caller's body is read as the next caller's request (request smuggling). Such a request is
refused and its connection closed: RFC 9112, sections 3.2, 6.1 and 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
"""Characters of RFC 3986's authority, without user information."""
_DIGITS = re.compile(rb"[0-9]+")


def fault(headers: Iterable[tuple[bytes, bytes]], version: str) -> str | None:
    """Return why a request cannot be told from what follows it, None where it can."""
    hosts, lengths, codings = _named(headers, b"host", b"content-length", b"transfer-encoding")
    faults = (
        (
            not all(HOST.fullmatch(value) for _, value in hosts),
            "Host is not a host and a port",
        ),
        (lengths and codings, "send Content-Length or Transfer-Encoding, not both"),
        (codings and version == "1.0", "Transfer-Encoding does not go with HTTP/1.0"),
        (
            any(b"_" in name for name, _ in (*lengths, *codings)),
            "Content-Length and Transfer-Encoding are written with a hyphen",
        ),
        (
            codings and [value.lower() for _, value in codings] != [b"chunked"],
            "the only Transfer-Encoding that is read is chunked, once",
        ),
        (
            not all(_DIGITS.fullmatch(value) and value == lengths[0][1] for _, value in lengths),
            "Content-Length is one whole number",
        ),
    )
    return next((why for found, why in faults if found), None)


def _named(
    headers: Iterable[tuple[bytes, bytes]], *wanted: bytes
) -> list[list[tuple[bytes, bytes]]]:
    """Return the headers of each name, those with an underscore too: some proxies read a hyphen."""
    found: dict[bytes, list[tuple[bytes, bytes]]] = {name: [] for name in wanted}
    for name, value in headers:
        found.get(name.lower().replace(b"_", b"-"), []).append((name, value))
    return list(found.values())
