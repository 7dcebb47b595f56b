"""One strict form of URL: a host that two parsers could read differently is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from core.errors import MalformedError

DEFAULT_PORTS = {"http": 80, "https": 443}
MOST_CHARACTERS = 8000
"""Length that any server should accept (RFC 9110, 4.1)."""
_PRINTABLE = re.compile(r"[!-\[\]-~]*")  # no space, control character, backslash or Unicode
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label by which a host is an IPv4 address (WHATWG URL, "ends in a number")."""


@dataclass(frozen=True)
class WebAddress:
    """A URL in its parts; the host is a lower-case name or the one spelling of an IP address."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query as they are sent; the fragment is dropped."""

    @property
    def authority(self) -> str:
        """Value of the Host header: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the URL without path and query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}"


def parse(url: str, field: str) -> WebAddress:
    """Return the parts of a URL. Raise MalformedError, with the field and the first fault."""
    if len(url) > MOST_CHARACTERS:
        raise _fault(field, f"has {len(url)} characters (limit {MOST_CHARACTERS})")
    if not _PRINTABLE.fullmatch(url):
        raise _fault(
            field,
            "has a space, a backslash or a character beyond ASCII: percent-encode it, "
            "and write an international host as xn--…",
        )
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise _fault(field, "must begin with http:// or https://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    host, port = _host_and_port(authority, field)
    target = rest[len(authority) :].partition("#")[0]
    target = target if target.startswith("/") else f"/{target}"
    return WebAddress(scheme, host, port or DEFAULT_PORTS[scheme], target)


def _host_and_port(authority: str, field: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _fault(field, "must not contain a user name or a password before the host")
    found = _AUTHORITY.fullmatch(authority)
    port = int(found[3]) if found and found[3] else None
    if not found or (port or 0) > 65535:  # noqa: PLR2004 - ports have 16 bits
        raise _fault(field, f"has no valid host and port: {authority[:80]!r}")
    host = _ipv6(found[1], field) if found[1] else _name(found[2].lower(), field)
    return host, port


def _ipv6(text: str, field: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise _fault(field, f"has no IPv6 address in brackets: {text[:80]!r}") from None


def _name(host: str, field: str) -> str:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _fault(
                field, f"must write an IPv4 address as four decimal numbers, not {host[:80]!r}"
            ) from None
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):  # noqa: PLR2004 - RFC 1035
        raise _fault(field, f"has a host that is no DNS name: {host[:80]!r}")
    return host


def _fault(field: str, fault: str) -> MalformedError:
    return MalformedError(f"{field} {fault}", field=field)
