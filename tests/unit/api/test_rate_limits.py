"""Requests of a key, and wrong keys of a network, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from adapters.api_keys import UNLIMITED, RateLimit
from api import rate_limits
from api.rate_limits import GuessThrottle, KeyLimits
from core.errors import RateLimitedError
from tests.doubles.small_service import Service
from tests.unit.api.calls import app_for

RIGHT, SLOW, FREE = "the-key-of-tenant-a", "a-slow-key-of-tenant-a", "a-key-without-a-limit"


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a new clock."""
    return Clock()


def taken(limits: KeyLimits, limit: RateLimit, key: str = "k", most: int = 100) -> int:
    """Return how many requests are let through at once."""
    for n in range(most):
        try:
            limits.take(key, limit)
        except RateLimitedError:
            return n
    return most


# --- the requests of a key ------------------------------------------------------------------------


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    """A refused request costs nothing, and an idle key saves up no more than its burst."""
    limits, limit = KeyLimits(clock), RateLimit(2, 5)
    assert [taken(limits, limit), taken(limits, limit)] == [5, 0]
    for seconds, more in ((0.49, 0), (0.01, 1), (1.0, 2), (3600, 5)):
        clock.now += seconds
        assert taken(limits, limit) == more
    assert taken(limits, limit, "another") == 5


def test_the_answer_says_when_to_come_back(clock: Clock) -> None:
    """In whole seconds, after which a request is let through."""
    limits, limit = KeyLimits(clock), RateLimit(1 / 60, 1)
    limits.take("k", limit)
    clock.now += 0.5
    with pytest.raises(RateLimitedError, match="1 requests a minute, at most 1 at once") as refused:
        limits.take("k", limit)
    assert refused.value.after == 60
    clock.now += refused.value.after
    limits.take("k", limit)


def test_a_new_limit_holds_at_once(clock: Clock) -> None:
    """A key that gets more need not wait for what it owed under the old one."""
    limits = KeyLimits(clock)
    assert taken(limits, RateLimit(1 / 60, 1)) == 1
    assert taken(limits, RateLimit(10, 3)) == 3
    assert taken(limits, UNLIMITED) == 100


@given(
    pauses=st.lists(st.floats(0, 10), max_size=60),
    rate=st.floats(0.01, 50),
    burst=st.integers(1, 20),
)
def test_no_schedule_gets_more_than_burst_and_rate(
    pauses: list[float], rate: float, burst: int
) -> None:
    """Over any stretch of time, and never less than one request once the wait is over."""
    clock = Clock()
    limits, limit = KeyLimits(clock), RateLimit(rate, burst)
    sent: list[float] = []
    for pause in pauses:
        clock.now += pause
        try:
            limits.take("k", limit)
        except RateLimitedError:
            continue
        sent.append(clock.now)
    for first, begin in enumerate(sent):
        for last, end in enumerate(sent[first:], 1):
            assert last <= burst + rate * (end - begin) + 1e-6
    clock.now += 1 / rate + 1e-6
    limits.take("k", limit)


# --- wrong keys -----------------------------------------------------------------------------------


def paused(throttle: GuessThrottle, network: str = "n") -> int:
    """Send a wrong key; return the seconds of Retry-After, 0 for a plain 401."""
    try:
        throttle.count(network)
    except RateLimitedError as error:
        return error.after
    return 0


def test_pauses_grow_to_five_minutes(clock: Clock) -> None:
    """Guesses within a pause do not prolong it; after an hour of peace all is forgotten."""
    throttle = GuessThrottle(clock)
    assert [paused(throttle) for _ in range(10)] == [0] * 10
    lengths = []
    for _ in range(12):
        lengths.append(paused(throttle))
        assert paused(throttle) == lengths[-1]
        clock.now += lengths[-1]
        assert paused(throttle) == 0
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert paused(throttle, "another") == 0
    clock.now += 300 + rate_limits.FORGOTTEN + 1
    assert [paused(throttle) for _ in range(10)] == [0] * 10
    assert paused(throttle) == 1


def test_networks_beyond_number_take_no_more_memory(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ones unseen for longest are dropped."""
    monkeypatch.setattr(rate_limits, "NETWORKS", 100)
    throttle = GuessThrottle(clock)
    for n in range(1000):
        paused(throttle, f"2001:db8:{n:x}::")
    assert len(throttle._seen._values) == 100


# --- over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """Yield a client of a service that limits keys and trusts a proxy."""
    keys = (
        f'[{{"key":"{RIGHT}","tenant":"a","role":"write","name":"right"}},'
        f'{{"key":"{SLOW}","tenant":"a","role":"write","rate_limit":"1/m:2"}},'
        f'{{"key":"{FREE}","tenant":"b","role":"read","rate_limit":"none"}}]'
    )
    service = Service(tmp_path, api_keys=keys, rate_limit="1/m:4", trusted_proxy="10.0.0.0/8")
    with TestClient(app_for(service, "10.0.0.1")) as opened:
        yield opened
    service.close()


def statuses(client: TestClient[Litestar], key: str, times: int, **headers: str) -> list[int]:
    """Return the status of each of some requests with a key."""
    sent = {"Authorization": f"Bearer {key}", **headers}
    return [client.get("/v1/stats", headers=sent).status_code for _ in range(times)]


def test_each_key_has_its_own_limit(client: TestClient[Litestar]) -> None:
    """The one of the settings, or its own; a request that its role forbids counts too."""
    assert statuses(client, RIGHT, 6) == [200] * 4 + [429] * 2
    assert statuses(client, SLOW, 4) == [200] * 2 + [429] * 2
    assert statuses(client, FREE, 10) == [403] * 10
    refused = client.get("/v1/stats", headers={"Authorization": f"Bearer {RIGHT}"})
    told = refused.json()
    assert (told["type"], told["status"]) == ("/problems/rate-limited", 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/health/ready").status_code == 200


def test_what_is_refused_is_a_warning_of_the_log(client: TestClient[Litestar]) -> None:
    """The log limits how many of those it takes, and so a flood; the line names key and tenant."""
    with capture_logs([merge_contextvars]) as lines:
        statuses(client, RIGHT, 5)
        statuses(client, "a-wrong-key", 11)
    said = [
        (line["log_level"], line.get("key"), line.get("tenant"))
        for line in lines
        if line["event"] == "answered"
    ]
    mine, nobodys = ("right", "a"), (None, None)
    assert said == [
        *[("info", *mine)] * 4,
        ("warning", *mine),
        *[("info", *nobodys)] * 10,
        ("warning", *nobodys),
    ]


def test_guesses_are_paused_and_a_right_key_is_not(client: TestClient[Litestar]) -> None:
    """From the same address; another address is not concerned, whatever an outsider writes."""
    near = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    assert statuses(client, "a-wrong-key", 12, **near) == [401] * 10 + [429] * 2
    refused = client.get("/v1/stats", headers={"Authorization": "Bearer wrong", **near})
    assert refused.json()["type"] == "/problems/rate-limited"
    assert refused.headers["retry-after"] == "1"
    assert statuses(client, RIGHT, 2, **near) == [200] * 2
    assert client.get("/v1/stats", headers=near).status_code == 401  # no key is no guess
    invented = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 10.0.0.5"}
    assert statuses(client, "a-wrong-key", 1, **invented) == [429]
    other = {"X-Forwarded-For": "198.51.100.7, 198.51.100.8"}
    assert statuses(client, "a-wrong-key", 1, **other) == [401]


def test_an_ipv6_network_is_one_address(client: TestClient[Litestar]) -> None:
    """A client has 2^64 of them."""
    for n in range(12):
        hop = {"X-Forwarded-For": f"2001:db8:1:2::{n:x}"}
        assert statuses(client, "a-wrong-key", 1, **hop) == [401 if n < 10 else 429]
    assert statuses(client, "a-wrong-key", 1, **{"X-Forwarded-For": "2001:db8:1:3::"}) == [401]


def test_guesses_at_the_data_folders_key_are_paused(client: TestClient[Litestar]) -> None:
    """They are keys as well."""
    assert statuses(client, "seenit-local:0:a", 11) == [401] * 10 + [429]
