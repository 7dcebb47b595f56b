"""Limits on connections, so that slow ones cost a place and never the service.

A connection that is sending a request may be closed: the one that has waited longest for its head
gives way to a newcomer where there are too many, and a head or body that comes too slowly is
refused (408). A connection whose request is complete is never closed for another's sake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, Protocol

from core.client_network import client_network
from core.errors import RequestTimeoutError, SeenitError, UnavailableError

Phase = Literal["head", "idle", "body", "answer"]
"""head: no request was completed yet, or one has begun; idle: kept alive between two requests."""

_COUNTED = frozenset(("head", "idle"))
HEAD_SECONDS = 20.0
"""Seconds for a request's head, as Apache's mod_reqtimeout allows."""
BODY_SECONDS, BODY_RATE = 20.0, 500.0
"""Seconds after which a body must have come at so many bytes a second, likewise."""
READ_SECONDS = 60.0
"""Seconds without progress after which a client that does not read its answer is cut off."""


class Held(Protocol):
    """A connection as the limits see it."""

    address: str
    """Address of the peer; empty if unknown."""

    def refuse(self, error: SeenitError) -> None:
        """Answer with an error, if an answer can still begin, and hang up."""

    def drop(self) -> None:
        """Hang up at once."""

    def unsent(self) -> int:
        """Return the bytes of answers that the peer has not taken."""

    def paused(self) -> bool:
        """Return whether the service itself reads no more of a body for now."""


class _Place:
    """Progress of one connection."""

    __slots__ = ("got", "left", "phase", "since")

    def __init__(self, phase: Phase, now: float) -> None:
        self.phase: Phase = phase
        self.since = now
        """Begin of the phase, or of the time without progress in an answer."""
        self.got = 0
        self.left = 0
        """Bytes that were unsent when it last made progress."""


class ConnectionLimits:
    """Connections of one server; every method runs in its event loop."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._per_address = most_per_address
        self._held: dict[Held, _Place] = {}
        self._addresses: Counter[str] = Counter()
        """Connections of each network that hold a place without a complete request."""
        self._swept: float | None = None

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._held)

    def admit(self, held: Held, now: float) -> None:
        """Take a new connection, at the cost of the one that has waited longest if need be."""
        if len(self._held) >= self._most:
            last = next(self._yielding(), None)
            if last is None:
                held.refuse(UnavailableError(f"{self._most} connections are open: try again soon"))
                return
            self._close(last)
        self._enter(held, _Place("head", now))

    def forget(self, held: Held) -> None:
        """Give a place back."""
        self._leave(held)

    def move(self, held: Held, phase: Phase, now: float) -> None:
        """Note what a connection does now; the same phase again changes nothing."""
        place = self._held.get(held)
        if place is not None and place.phase != phase:
            self._leave(held)
            self._enter(held, _Place(phase, now))

    def received(self, held: Held, count: int) -> None:
        """Count the bytes of a body."""
        if (place := self._held.get(held)) is not None:
            place.got += count

    def sweep(self, now: float) -> None:
        """Refuse what is too slow; call it about once a second."""
        passed = 0.0 if self._swept is None else now - self._swept
        self._swept = now
        for held, place in list(self._held.items()):
            waited = now - place.since
            if place.phase == "head" and waited > HEAD_SECONDS:
                self._close(held)
            elif place.phase == "body" and held.paused():
                place.since += passed
            elif place.phase == "body" and place.got < BODY_RATE * (waited - BODY_SECONDS):
                self._close(held)
            elif place.phase == "answer" and not _reads(held, place, now):
                self._leave(held)
                held.drop()

    def _enter(self, held: Held, place: _Place) -> None:
        self._held[held] = place
        if place.phase not in _COUNTED:
            return
        network = client_network(held.address)
        self._addresses[network] += 1
        if self._addresses[network] > self._per_address:
            self._close(
                next(one for one in self._yielding() if client_network(one.address) == network)
            )

    def _leave(self, held: Held) -> None:
        place = self._held.pop(held, None)
        if place is None or place.phase not in _COUNTED:
            return
        network = client_network(held.address)
        self._addresses[network] -= 1
        if not self._addresses[network]:
            del self._addresses[network]

    def _yielding(self) -> Iterator[Held]:
        """Yield connections that may be closed for another, those that waited longest first.

        Bodies come last. A newcomer is never the first, even where all others are idle.
        """
        for phases in (_COUNTED, {"body"}):
            yield from (held for held, place in self._held.items() if place.phase in phases)

    def _close(self, held: Held) -> None:
        phase = self._held[held].phase
        self._leave(held)
        if phase == "idle":
            held.drop()
        else:
            detail = "the request came too slowly, or others needed its place meanwhile"
            held.refuse(RequestTimeoutError(detail))


def _reads(held: Held, place: _Place, now: float) -> bool:
    """Return whether the peer took something of its answer lately, or has taken all there is."""
    unsent = held.unsent()
    if unsent == 0 or unsent != place.left:
        place.left, place.since = unsent, now
    return now - place.since <= READ_SECONDS
