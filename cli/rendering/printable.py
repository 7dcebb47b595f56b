"""Other people's texts made safe for a terminal: no cursor, colour or bidi controls."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Escape what would move, hide or turn things on a terminal: controls, bidi, invisible ones.

    Spaces of any width stay: they are common in the names of screenshots.
    """
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable() or unicodedata.category(letter) == "Zs":
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 a byte as Python carries it
        return f"\\x{code - 0xDC00:02x}"
    width, mark = (2, "x") if code < 0x100 else (4, "u") if code < 0x10000 else (8, "U")  # noqa: PLR2004
    return f"\\{mark}{code:0{width}x}"
