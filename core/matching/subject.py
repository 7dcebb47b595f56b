"""The picture that a verdict is about, and the port to the records that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from core.evidence import Comparison, Evidence
from core.records import LogPlace, State
from core.types import Candidates, Hit, Query


class SeesPictures(Protocol):
    """Port to the live records of one tenant at one moment."""

    def state(self, image_id: str) -> State | None:
        """Return the state of a live record."""

    def same_bytes(self, sha256: str) -> Sequence[State]:
        """Return the live records with that digest of bytes."""

    def same_pixels(self, pixels: str) -> Sequence[State]:
        """Return the live records with that digest of pixels."""

    def query(self, image_id: str) -> Query:
        """Return the query of a stored picture. Raise MissingError."""

    def near(self, query: Query) -> Candidates:
        """Return live anchors that take new copies, without the picture itself."""

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Align the picture with candidates and compare, in order."""

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """Return the owner_id that the caller gave."""


class Subject(NamedTuple):
    """The picture that a verdict is about, as `look` takes it."""

    sees: SeesPictures
    query: Query
    fields: str | None
    before: LogPlace | None
    blind: bool

    def precedes(self, anchor: LogPlace) -> bool:
        """Return whether an anchor may be this picture's original, by its place in the log."""
        return self.before is None or anchor < self.before

    def with_owner(self, evidence: Evidence, state: State) -> Evidence:
        """Say whether both pictures have the same owner, where this one has any.

        The owner of a picture that was deleted into a bank is unknown.
        """
        if state.bank is not None:
            return evidence
        owner = self.sees.owner(self.query.image_id, self.fields)
        if owner is None:
            return evidence
        same = owner == self.sees.owner(state.image_id, state.fields)
        return replace(evidence, same_owner=same)

    def has_pixels(self, state: State) -> bool:
        """Return whether both pictures have pixels to compare."""
        return not self.blind and state.content != "purged"
