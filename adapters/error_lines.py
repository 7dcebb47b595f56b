"""First line of a library's error: the part that helps a user."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; the rest is for developers."""
    if isinstance(error, UnicodeError | RecursionError):  # which speak of Python alone
        return "one of its files is damaged"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
