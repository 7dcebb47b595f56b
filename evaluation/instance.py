"""The service under evaluation, as an evaluation sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from core.types import Candidates, Decision, Limits, Verdict

Told = Callable[[str, int, int], None]
"""Progress callback: a stage's name, how much of it is done, and of how much."""


class StoredPicture(NamedTuple):
    """Result of ingesting one picture."""

    image_id: str
    verdict: Verdict | None
    decision: Decision | None
    error: str = ""


class Instance(Protocol):
    """Service under evaluation, private and empty at first."""

    @property
    def model(self) -> str:
        """Return the model of the visual space, or the reason why there is none."""

    @property
    def limits(self) -> Limits:
        """Return the limits within which the service decodes."""

    def ingest(self, items: Sequence[bytes]) -> list[StoredPicture]:
        """Ingest pictures in this order, and wait until they are settled."""

    def check(self, data: bytes) -> Verdict:
        """Return the verdict for a picture. Raise an InputError."""

    def near(self, data: bytes) -> Candidates:
        """Return the candidates for a picture. Raise an InputError."""

    def ban(self, image_id: str) -> None:
        """Decide as a person that a picture is blocked, and wait until this is settled."""

    def is_blocked(self, image_id: str) -> bool:
        """Return whether the decision on a picture is now `block`."""
