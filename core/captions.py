"""What of a picture's fields the caption space is made of."""

from __future__ import annotations

from core.entries import Fields

TEMPLATE = "title, description, tags: each on a line, tags parted by commas"
"""Names the way `caption` joins them: part of what tells one caption space from another."""


def caption(fields: Fields) -> str:
    """The text that is embedded, "" where nobody wrote anything."""
    parts = (fields.title, fields.description, ", ".join(fields.tags))
    return "\n".join(part.strip() for part in parts if part and part.strip())
