"""RFC 3339 times in UTC with milliseconds, which sort as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    """Format the present time, such as `2026-03-01T09:30:00.125Z`."""
    return stamp(datetime.now(UTC))


def stamp(at: datetime) -> str:
    """Format a time for storage."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """Parse a stamp. Raise ValueError if it is invalid, or has no zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)


def next_after(text: str) -> str:
    """Return the stamp one millisecond after another, the shortest step."""
    return stamp(parse(text) + timedelta(milliseconds=1))


def seconds_since(text: str) -> float:
    """Return the age of a stamp in seconds."""
    return (datetime.now(UTC) - parse(text)).total_seconds()
