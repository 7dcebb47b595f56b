"""Refusal of requests with an ambiguous end (request smuggling) or an invalid Host.

A proxy and the service behind it must agree on where a request ends; if they do not, the rest of
one caller's body is read as the next caller's request. Such a request is refused and its connection
closed: RFC 9112, sections 3.2, 6.1 and 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
"""Characters of RFC 3986's authority, without user information."""
_DIGITS = re.compile(rb"[0-9]+")


def fault(headers: Iterable[tuple[bytes, bytes]], version: str) -> str | None:
    """Return why the end of a request is ambiguous or its Host invalid, None if all is well."""
    hosts: list[tuple[bytes, bytes]] = []
    lengths: list[tuple[bytes, bytes]] = []
    codings: list[tuple[bytes, bytes]] = []
    named = {b"host": hosts, b"content-length": lengths, b"transfer-encoding": codings}
    for name, value in headers:  # some proxies read an underscore as a hyphen
        named.get(name.lower().replace(b"_", b"-"), []).append((name, value))
    faults = (
        (
            not all(HOST.fullmatch(value) for _, value in hosts),
            "Host must be a host name or address, with a port if need be",
        ),
        (lengths and codings, "send Content-Length or Transfer-Encoding, not both"),
        (codings and version == "1.0", "HTTP/1.0 has no Transfer-Encoding: send Content-Length"),
        (
            any(b"_" in name for name, _ in (*lengths, *codings)),
            "write Content-Length and Transfer-Encoding with a hyphen, not an underscore",
        ),
        (
            codings and [value.lower() for _, value in codings] != [b"chunked"],
            "Transfer-Encoding must be chunked, sent once",
        ),
        (
            not all(_DIGITS.fullmatch(value) and value == lengths[0][1] for _, value in lengths),
            "Content-Length must be one whole number",
        ),
    )
    return next((why for found, why in faults if found), None)
