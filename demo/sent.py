"""Uploaded picture with the answer of the service."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Answer = dict[str, Any]
"""JSON body of an answer."""


class Sent(Struct, frozen=True, kw_only=True):
    """Uploaded picture with the faults of its answer."""

    title: str
    of: str
    image_id: str | None
    verdict: Answer
    decision: str
    seconds: float
    faults: tuple[str, ...]
    data: bytes | None = None
    """Bytes of the picture, if the service stores none."""

    @property
    def evidence(self) -> Answer | None:
        """Return the evidence of the match with its original."""
        wanted = (self.verdict["original"] or {}).get("image_id")
        found = (match for match in self.verdict["matches"] if match["image_id"] == wanted)
        match = next(found, None)
        return match["evidence"] if match else None
