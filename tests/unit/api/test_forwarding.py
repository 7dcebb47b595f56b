from __future__ import annotations

from ipaddress import ip_network

import pytest

from api.forwarding import TrustedProxies

TRUSTED = TrustedProxies(tuple(map(ip_network, ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32"))))


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        (("127.0.0.1", 1), True),
        (("10.9.9.9", 1), True),
        (("::ffff:10.9.9.9", 1), True),
        (("2001:db8::7", 1), True),
        (("127.0.0.2", 1), False),
        (("192.0.2.1", 1), False),
        (("::1", 1), False),
        (("", 1), False),
        (("proxy", 1), False),
        (("127.0.0.1", 0), False),  # as a server rewrites it that believes X-Forwarded-For
        (None, False),  # over a socket file
    ],
)
def test_a_proxy_is_trusted_by_its_address(client: tuple[str, int] | None, trusted: bool) -> None:
    """The address of the connection itself counts; a trusted proxy may name the scheme."""
    headers = [(b"x-forwarded-proto", b"HTTPS"), (b"x-forwarded-for", b"127.0.0.1")]
    scope = {"client": client, "scheme": "http", "headers": headers}
    assert TRUSTED.trust(scope) is trusted
    assert TRUSTED.scheme(scope) == ("https" if trusted else "http")
    assert TrustedProxies(()).trust(scope) is False


@pytest.mark.parametrize("told", [[], [b"ftp"], [b"https, http"], [b"https", b"http"], [b""]])
def test_a_scheme_is_told_once(told: list[bytes]) -> None:
    """Otherwise it is that of the connection."""
    headers = [(b"x-forwarded-proto", one) for one in told]
    scope = {"client": ("127.0.0.1", 1), "scheme": "http", "headers": headers}
    assert TRUSTED.scheme(scope) == "http"
