"""RFC 3339 times in UTC with milliseconds, which sort as text."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The present time, such as `2026-03-01T09:30:00.125Z`."""
    return stamp(datetime.now(UTC))


def stamp(at: datetime) -> str:
    """A time as it is written down."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The time a stamp stands for. Raise ValueError where it is none, or has no zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)


def seconds_since(text: str) -> float:
    """Age of a stamp in seconds."""
    return (datetime.now(UTC) - parse(text)).total_seconds()
