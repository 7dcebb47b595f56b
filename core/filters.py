"""Filters on the card of a record, evaluated in Python."""

from __future__ import annotations

from collections.abc import Collection

from core.index_port import Filters, RecordCard
from core.records import Fields, Record, State

SHOWN = ("allow",)
"""Decisions of the pictures that are shown unless a caller requests others."""
ALLOWED = Filters(decision=SHOWN)
"""Filters by which no original needs to pass for a copy: an allowed copy is shown only where its
original is allowed, which then passes by itself."""


def shows(decision: str, originals: str | None, wanted: Collection[str]) -> bool:
    """Return whether a picture may be shown to a caller who requests the decisions `wanted`.

    Its own decision must be one of them; an allowed picture's original must have one of them too.
    `originals` is the original's decision, the picture's own if it is no copy, and None if the
    original is gone.
    """
    return decision in wanted and (decision != "allow" or originals in wanted)


def card(record: Record) -> RecordCard:
    """Make the card of a record, which filters, groups and collapsing read."""
    return card_of(record.state, record.fields, tuple(record.vectors))


def card_of(state: State, fields: Fields, spaces: tuple[str, ...]) -> RecordCard:
    """Make the card of a record whose vectors are stored elsewhere, in these spaces."""
    return RecordCard(
        image_id=state.image_id,
        original=state.original,
        verdict=state.verdict.kind,
        decision=state.decision.value,
        category=fields.category,
        owner_id=fields.owner_id,
        external_id=fields.external_id,
        sha256=state.sha256,
        accepted_at=state.accepted_at,
        tags=fields.tags,
        spaces=spaces,
    )


def passes(card: RecordCard, filters: Filters) -> bool:
    """Return whether it passes every filter; the moments of `accepted_*` are excluded."""
    wanted = (
        (filters.category, card.category),
        (filters.verdict, card.verdict),
        (filters.owner_id, card.owner_id),
        (filters.external_id, card.external_id),
        (filters.sha256, card.sha256),
        (filters.original_id, card.original if card.original != card.image_id else None),
    )
    return (
        all(want is None or want == have for want, have in wanted)
        and (not filters.decision or card.decision in filters.decision)
        and set(filters.tags) <= set(card.tags)
        and (filters.accepted_after is None or card.accepted_at > filters.accepted_after)
        and (filters.accepted_before is None or card.accepted_at < filters.accepted_before)
    )
