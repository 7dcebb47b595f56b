"""A picture that was sent, and what came back."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Answer = dict[str, Any]
"""JSON as it came."""


class Sent(Struct, frozen=True, kw_only=True):
    """With what is wrong in the answer."""

    title: str
    of: str
    image_id: str | None
    verdict: Answer
    decision: str
    seconds: float
    faults: tuple[str, ...]
    data: bytes | None = None
    """The picture itself, where the service keeps none."""

    @property
    def evidence(self) -> Answer | None:
        """Of the match with its original."""
        wanted = (self.verdict["original"] or {}).get("image_id")
        found = (match for match in self.verdict["matches"] if match["image_id"] == wanted)
        match = next(found, None)
        return match["evidence"] if match else None
