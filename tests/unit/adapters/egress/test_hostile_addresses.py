"""Addresses by which a caller could reach inside: each is refused before a connection is made."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.egress.address_guard import canonical, is_public
from adapters.egress.client import EgressClient
from adapters.egress.web_address import MOST_CHARACTERS, parse
from core.errors import MalformedError
from tests.doubles.closed_network import ClosedNetwork

UNREADABLE = (
    "http://2130706433/",  # decimal
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.0x1/",
    "http://0x/",
    "http://127.0.0.1./",
    "http://localhost./",
    "http://example.com../",
    "http://.example.com/",
    "http://example..com/",
    "http://①②⑦.⓪.⓪.①/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "http://127。0。0。1/",
    "http://exa\u00admple.com/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1",
    "http://[::1]x/",
    "http://[127.0.0.1]/",
    "http://[v1.fe]/",
    "http://::1/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\\.internal/",
    "http://example.com%00.internal/",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/\r\nHost: redis",
    "http://example.com\t/",
    " http://example.com/",
    "http:///etc/passwd",
    "http:/example.com/",
    "http:example.com",
    "//example.com/",
    "example.com",
    "",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://example.com/",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999999/",
    "http://example.com:080/",
    "http://example.com:/",
    "http://example.com:80:80/",
    "http://example.com:-1/",
    "http://-example.com/",
    f"http://{'a' * 64}.com/",
    f"http://{'a.' * 127}com/",
    f"http://example.com/{'a' * MOST_CHARACTERS}",
)
INSIDE = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
)
CLIENT = EgressClient()
OUTSIDE = ("1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1")


@pytest.fixture(name="network")
def closed_network(monkeypatch: pytest.MonkeyPatch) -> ClosedNetwork:
    """Return the network of a test: no packet leaves the machine."""
    return ClosedNetwork(monkeypatch)


def refusal(client: EgressClient, url: str) -> MalformedError:
    """Return the error by which all calls refuse a URL, each alike."""

    async def refused() -> list[object]:
        return await asyncio.gather(
            client.fetch(url, most_bytes=10, field="image_url"),
            client.post(url, b"{}", headers={}, field="image_url"),
            client.check_url(url, field="image_url"),
            return_exceptions=True,
        )

    (error, *others) = asyncio.run(refused())
    assert isinstance(error, MalformedError)
    assert error.field == "image_url"
    assert [repr(error)] * 2 == [repr(other) for other in others]
    return error


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_can_be_read_in_two_ways_is_refused(network: ClosedNetwork, url: str) -> None:
    """No name is even looked up."""
    assert len(refusal(CLIENT, url).detail) < 250
    assert network.resolved == network.connected == []


@pytest.mark.parametrize("ip", INSIDE)
def test_an_address_inside_is_refused_by_number_and_by_name(
    network: ClosedNetwork, ip: str
) -> None:
    """Alone or as the last of several answers; the error does not name it."""
    network.names = {"one.test": [ip], "mixed.test": ["1.1.1.1", "2a00::1", ip]}
    host = f"[{ip}]" if ":" in ip else ip
    told = refusal(CLIENT, f"http://{host}/").detail
    assert "SEENIT_EGRESS_ALLOW" in told
    for name in network.names:
        assert refusal(CLIENT, f"https://{name}/").detail == told.replace(str(ip_address(ip)), name)
    assert network.connected == []


@pytest.mark.parametrize("ip", OUTSIDE)
def test_an_address_outside_is_reached(network: ClosedNetwork, ip: str) -> None:
    """The guard is no wall: public hosts pass it."""
    network.names["one.test"] = [ip]
    asyncio.run(CLIENT.check_url("https://one.test/a.jpg"))
    assert is_public(ip_address(ip))


def test_a_name_inside_is_refused_like_one_that_does_not_exist(network: ClosedNetwork) -> None:
    """The answer does not tell which names the inner network has."""
    network.names["redis"] = ["172.18.0.2"]
    there, absent = (refusal(CLIENT, f"http://{name}/").detail for name in ("redis", "redit"))
    assert there.replace("redis", "redit") == absent
    there, absent = (refusal(CLIENT, f"http://{name}:6379/").detail for name in ("redis", "redit"))
    assert there.replace("redis", "redit") == absent


@pytest.mark.parametrize("port", [1, 22, 25, 6379, 8000, 9100, 65535])
def test_a_port_that_is_no_web_servers_is_refused(network: ClosedNetwork, port: int) -> None:
    """A request could be read as another protocol; an allowed network may use any port."""
    network.names |= {"one.test": ["1.1.1.1"], "mine.test": ["10.1.2.3"]}
    assert f"port {port} is not allowed" in refusal(CLIENT, f"http://one.test:{port}/").detail
    client = EgressClient([ip_network("10.1.0.0/16")])
    asyncio.run(client.check_url(f"http://mine.test:{port}/"))
    network.names["mine.test"] = ["10.1.2.3", "1.1.1.1"]
    refusal(client, f"http://mine.test:{port}/")


def test_an_allowed_network_opens_itself_alone(network: ClosedNetwork) -> None:
    """IPv4 in its mapped form belongs to it too; a neighbour does not."""
    client = EgressClient([ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")])
    for host in ("10.1.255.255", "[::ffff:10.1.2.3]", "[fd00:1::9]", "1.1.1.1"):
        asyncio.run(client.check_url(f"http://{host}/"))
    for host in ("10.2.0.1", "[fd00:2::9]", "127.0.0.1", "[64:ff9b::10.1.2.3]"):
        refusal(client, f"http://{host}/")
    assert network.connected == []


def test_the_machines_own_public_address_is_refused(
    network: ClosedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports that a firewall hides (metrics, Redis) answer there; a setting admits it."""
    own = SimpleNamespace(family=socket.AF_INET, address="93.184.216.34")
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [own]})
    refusal(CLIENT, "http://93.184.216.34/")
    client = EgressClient([ip_network("93.184.216.34/32")])
    asyncio.run(client.check_url("http://93.184.216.34/"))
    assert network.connected == []


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_is_public_that_python_knows_to_be_private(
    ip: IPv4Address | IPv6Address,
) -> None:
    """The table holds all that `is_global` holds, and more."""
    ip = canonical(ip)
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        assert not is_public(ip)


@given(st.text(max_size=30), st.sampled_from(["", "http://", "https://h/", "http://h"]))
def test_any_text_is_an_address_or_a_clear_error(text: str, begin: str) -> None:
    """The parser raises nothing else, and what it accepts it reads again as the same."""
    with suppress(MalformedError):
        address = parse(begin + text, "url")
        assert parse(f"{address}{address.target}", "url") == address


def test_an_address_shows_neither_path_nor_query_in_errors() -> None:
    """A signed URL stays out of logs and answers."""
    address = parse("HTTPS://Pictures.Example:8443/secret?token=1#part", "url")
    assert (address.host, address.target) == ("pictures.example", "/secret?token=1")
    assert str(address) == "https://pictures.example:8443"
    assert parse("http://[2A00:0::1]:80?q", "url").authority == "[2a00::1]"
    assert parse("http://h?q=/", "url").target == "/?q=/"
