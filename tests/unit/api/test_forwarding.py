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


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        (("192.0.2.1", 1), [b"198.51.100.1"], "192.0.2.1"),
        (("10.0.0.1", 1), [], "10.0.0.1"),
        (("10.0.0.1", 1), [b""], "10.0.0.1"),
        (("10.0.0.1", 1), [b"198.51.100.1"], "198.51.100.1"),
        (("10.0.0.1", 1), [b"198.51.100.1:443"], "198.51.100.1"),
        (("10.0.0.1", 1), [b"[2a00:1::7]:443"], "2a00:1::7"),
        (("10.0.0.1", 1), [b"2a00:1::7"], "2a00:1::7"),
        (("10.0.0.1", 1), [b"203.0.113.5, 198.51.100.1"], "198.51.100.1"),
        (("10.0.0.1", 1), [b"203.0.113.5", b"198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (("10.0.0.1", 1), [b"10.0.0.3, ::ffff:10.0.0.2"], "10.0.0.3"),
        (("10.0.0.1", 1), [b"203.0.113.5, unknown"], "10.0.0.1"),
        (("10.0.0.1", 1), [b"203.0.113.5, \xff, 10.0.0.2"], "10.0.0.2"),
        (("10.0.0.1", 0), [b"198.51.100.1"], "10.0.0.1"),
        (None, [b"198.51.100.1"], ""),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_clients(
    peer: tuple[str, int] | None, told: list[bytes], client: str
) -> None:
    """A caller may write any address before it; an untrusted peer is the client itself."""
    headers = [(b"x-forwarded-for", one) for one in told]
    assert TRUSTED.client({"client": peer, "headers": headers}) == client
