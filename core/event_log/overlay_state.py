"""Overlay of operations of the log: the newest state of each record that they touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.records import Outcome, State, Tombstone
from core.types import ActiveSpaces, SpaceKind


class OverlayLayer:
    """States, tombstones and outcomes that overlay older ones; the newest wins."""

    __slots__ = ("_bytes", "_pixels", "anchors", "outcomes", "removed", "standings", "states")

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.removed: dict[str, Tombstone] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.standings: dict[SpaceKind, ActiveSpaces] = {}
        self.anchors: dict[str, None] = {}
        """Records that were an anchor in one of these states, in order; never removed."""
        self._bytes: dict[str, tuple[str, ...]] = {}
        self._pixels: dict[str, tuple[str, ...]] = {}

    def put(self, states: Iterable[State], removed: Iterable[Tombstone]) -> None:
        """Overlay these on top. A removed record never returns."""
        for state in states:
            image_id = state.image_id
            if image_id in self.removed:
                continue
            held = self.states.get(image_id)
            if held is None:
                self._bytes[state.sha256] = (*self._bytes.get(state.sha256, ()), image_id)
            if held is None or held.pixels != state.pixels:
                self._pixels[state.pixels] = (*self._pixels.get(state.pixels, ()), image_id)
            self.states[image_id] = state
            if state.anchor is not None:
                self.anchors[image_id] = None
        for tombstone in removed:
            self.states.pop(tombstone.image_id, None)
            self.removed.setdefault(tombstone.image_id, tombstone)

    def gone(self, image_id: str) -> bool:
        """Return whether a record was deleted, also if an entry of a bank is left of it."""
        state = self.states.get(image_id)
        return image_id in self.removed or (state is not None and state.bank is not None)

    def same_bytes(self, sha256: str) -> Iterator[State]:
        """Yield the states with that digest of bytes."""
        return (self.states[one] for one in self._bytes.get(sha256, ()) if one in self.states)

    def same_pixels(self, pixels: str) -> Iterator[State]:
        """Yield the states with that digest of pixels; some had another one when it was laid."""
        held = (self.states.get(one) for one in self._pixels.get(pixels, ()))
        return (state for state in held if state is not None and state.pixels == pixels)

    def copy(self) -> OverlayLayer:
        """Return a copy to overlay without a change of this one."""
        other = OverlayLayer()
        other.states = self.states.copy()
        other.removed = self.removed.copy()
        other.outcomes = self.outcomes.copy()
        other.standings = self.standings.copy()
        other.anchors = self.anchors.copy()
        other._bytes = self._bytes.copy()
        other._pixels = self._pixels.copy()
        return other
