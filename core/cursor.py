"""Opaque cursors: the place at which a list continues, as one word of a URL."""

from __future__ import annotations

import base64
import binascii
import re

from core import clock
from core.errors import MalformedError

_PLACE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([0-9a-f-]{36}(?:\.\d{1,9})?)")
_LONGEST = 128
"""Characters; a genuine one has under 100."""


def encode(at: str, key: str) -> str:
    """Encode the cursor of a list that continues after (accepted_at, id)."""
    return base64.urlsafe_b64encode(f"{at} {key}".encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[str, str]:
    """Decode a cursor to (accepted_at, id). Raise MalformedError for any other text."""
    cursor = cursor[:_LONGEST]
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    place = _PLACE.fullmatch(text)
    if place is None or not _is_time(place.group(1)):
        raise MalformedError("this cursor was not given out by this service", field="cursor")
    return place.group(1), place.group(2)


def _is_time(text: str) -> bool:
    try:
        clock.parse(text)
    except ValueError:
        return False
    return True
