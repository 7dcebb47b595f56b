"""The first line of an error of a library: the part of it that a person can act on."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for the rest is for developers."""
    if isinstance(error, UnicodeError | RecursionError):  # which speak of Python alone
        return "one of its files is damaged"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
