"""What a retriever hands to whoever builds a prompt: pictures worth showing, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from core.filters import SHOWN
from core.ports import Filters
from core.queries.joined_views import RecordView, shown
from core.types import Vector


class RelevantPicture(Struct, frozen=True, kw_only=True):
    """A picture that helps, and how near it came."""

    seen: RecordView
    similarities: dict[str, float]
    """Cosines by kind of space: visual, caption."""
    matched_copy_id: str | None = None
    """The copy that was found, where its original stands for it."""


class DroppedPicture(Struct, frozen=True):
    """A picture that was found and is not shown, and why."""

    image_id: str
    reason: str


class RetrievalResult(Struct, frozen=True, kw_only=True):
    """The pictures that matter to a question."""

    items: tuple[RelevantPicture, ...]
    """Best first; of decision allow, as are their originals; copies collapsed onto these."""
    dropped: tuple[DroppedPicture, ...] = ()
    reason: str | None = None
    """Why there is nothing."""
    used: tuple[str, ...] = ()
    """Modes that took part: visual, caption, keyword."""


class RetrievesPictures(Protocol):
    """Finds the pictures that matter to a question."""

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
        """At most `limit` of them. Raise MissingError, GoneError, UnavailableError."""


def allowed(seen: RecordView) -> bool:
    """Whether a picture may reach a prompt: its decision and its original's are both `allow`."""
    return shown(seen, SHOWN)
