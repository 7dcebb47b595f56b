"""Places of connections: which one gives way, and which one is too slow."""

from __future__ import annotations

from cli.server.connection_limits import (
    BODY_RATE,
    BODY_SECONDS,
    HEAD_SECONDS,
    READ_SECONDS,
    ConnectionLimits,
)
from core.errors import SeenitError


class Peer:
    """A connection that notes what became of it."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.end = ""
        self.left = 0
        self.busy = False

    def refuse(self, error: SeenitError) -> None:
        """Note the type of the problem."""
        self.end = error.type

    def drop(self) -> None:
        """Note that it got no answer."""
        self.end = "dropped"

    def unsent(self) -> int:
        """Return what the test says."""
        return self.left

    def paused(self) -> bool:
        """Return whether the service reads no more for now."""
        return self.busy


def _admitted(limits: ConnectionLimits, count: int, address: str = "192.0.2.1") -> list[Peer]:
    peers = [Peer(address) for _ in range(count)]
    for at, peer in enumerate(peers):
        limits.admit(peer, float(at))
    return peers


def test_a_newcomer_takes_the_place_of_the_one_that_waited_longest() -> None:
    """Idle or in its head alike; those whose request is complete are never closed for it."""
    limits = ConnectionLimits(4, 100)
    served, body, idle, slow = _admitted(limits, 4)
    limits.move(served, "answer", 1.0)
    limits.move(body, "body", 1.0)
    limits.move(idle, "answer", 1.0)
    limits.move(idle, "idle", 1.0)
    ends = []
    for at in range(4):
        newcomer = Peer()
        limits.admit(newcomer, 5.0 + at)
        limits.move(newcomer, "answer", 5.0 + at)
        ends.append([one.end for one in (served, body, idle, slow, newcomer)])
    assert ends == [
        ["", "", "", "request-timeout", ""],
        ["", "", "dropped", "request-timeout", ""],
        ["", "request-timeout", "dropped", "request-timeout", ""],
        ["", "request-timeout", "dropped", "request-timeout", "unavailable"],
    ]
    assert len(limits) == 4


def test_one_address_takes_places_from_itself() -> None:
    """A network of IPv6 counts as one address; complete requests do not count."""
    limits = ConnectionLimits(100, 3)
    (other,) = _admitted(limits, 1, "198.51.100.7")
    (served,) = _admitted(limits, 1, "2001:db8::1")
    limits.move(served, "answer", 0.0)
    peers = [*_admitted(limits, 3, "2001:db8::2"), *_admitted(limits, 1, "2001:db8::3")]
    assert [one.end for one in peers] == ["request-timeout", "", "", ""]
    assert (other.end, served.end) == ("", "")
    assert [one.end for one in _admitted(limits, 3, "2001:db8:0:1::")] == ["", "", ""]
    mapped = [*_admitted(limits, 2, "::ffff:198.51.100.7"), *_admitted(limits, 1, "198.51.100.7")]
    assert [one.end for one in (other, *mapped)] == ["request-timeout", "", "", ""]


def test_places_are_given_back() -> None:
    """However a connection ends, nothing stays counted."""
    limits = ConnectionLimits(100, 3)
    for _ in range(10):
        peers = _admitted(limits, 3)
        limits.move(peers[0], "body", 1.0)
        limits.sweep(HEAD_SECONDS + 2.5)
        for peer in peers:
            limits.forget(peer)
            limits.move(peer, "head", 2.0)
    assert len(limits) == 0
    assert not limits._addresses


def test_slow_heads_and_bodies_are_refused() -> None:
    """Idle connections are left to their keep-alive time, bodies to a service that is busy."""
    limits = ConnectionLimits(100, 100)
    head, idle, still, slow, quick, held = peers = _admitted(limits, 6)
    limits.move(idle, "idle", 6.0)
    for one in (still, slow, quick, held):
        limits.move(one, "body", 6.0)
    held.busy = True
    for second in range(6, 6 + int(BODY_SECONDS) + 40):
        limits.received(slow, int(BODY_RATE / 4))
        limits.received(quick, int(BODY_RATE))
        limits.sweep(float(second))
    assert [one.end for one in peers] == [
        *("request-timeout", "", "request-timeout", "request-timeout", "", "")
    ]
    held.busy = False
    limits.sweep(66.0)
    assert held.end == ""
    limits.sweep(67.0 + BODY_SECONDS)
    assert held.end == "request-timeout"
    assert head.end == "request-timeout"


def test_answers_that_nobody_reads_are_cut_off() -> None:
    """A slow reader makes progress; a listener with nothing to read waits as long as it likes."""
    limits = ConnectionLimits(100, 100)
    stuck, slow, _ = peers = _admitted(limits, 3)
    for one in peers:
        limits.move(one, "answer", 3.0)
    stuck.left = slow.left = 10_000
    for second in range(3, 5 + int(READ_SECONDS)):
        slow.left -= 1
        limits.sweep(float(second))
    assert [one.end for one in peers] == ["dropped", "", ""]
