"""Types that a retriever returns to the prompt builder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from core.filters import SHOWN
from core.index_port import Filters
from core.queries.joined_views import RecordView, shown
from core.types import Vector


class RelevantPicture(Struct, frozen=True, kw_only=True):
    """A relevant picture, with its similarities to the question."""

    seen: RecordView
    similarities: dict[str, float]
    """Cosines by kind of space: visual, caption."""
    matched_copy_id: str | None = None
    """Id of the copy that matched, if its original is shown instead."""


class DroppedPicture(Struct, frozen=True):
    """A found picture that is not shown, with the reason."""

    image_id: str
    reason: str


class RetrievalResult(Struct, frozen=True, kw_only=True):
    """The pictures relevant to a question."""

    items: tuple[RelevantPicture, ...]
    """Best first; decisions on them and their originals are allow; copies show as originals."""
    dropped: tuple[DroppedPicture, ...] = ()
    reason: str | None = None
    """Why there are no items."""
    used: tuple[str, ...] = ()
    """Modes that took part: visual, caption, keyword."""


class RetrievesPictures(Protocol):
    """A retriever of pictures relevant to a question."""

    def retrieve(
        self,
        tenant: str,
        *,
        text: str | None,
        image_ids: Sequence[str] = (),
        vectors: Sequence[Vector] = (),
        filters: Filters = Filters(),  # noqa: B008 - a value that never changes
        limit: int = 8,
    ) -> RetrievalResult:
        """Return at most `limit` pictures. Raise MissingError, GoneError, UnavailableError."""


def allowed(seen: RecordView) -> bool:
    """Return whether a picture may reach a prompt: its and its original's decision are allow."""
    return shown(seen, SHOWN)
