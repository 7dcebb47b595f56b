"""Removal of invisible characters: only visible text goes into a prompt.

A model reads characters that show nothing on a screen. Written as tags, zero-width signs or
variation selectors, instructions that no person saw would reach it from a title, a description or a
pasted question. These characters are removed:

* control, format, surrogate, private and unassigned characters (Unicode's Cc, Cf, Cs, Co and Cn):
  among them tags (U+E0000 to U+E007F), direction overrides and marks of UAX #9, zero-width space,
  joiners and word joiner, soft hyphen, byte order mark;
* characters that Unicode calls default-ignorable (DerivedCoreProperties.txt): variation selectors,
  Hangul fillers, the combining grapheme joiner and the like;
* letters and symbols that are drawn as nothing: the Braille blank, the null notehead, blanks of
  Egyptian and Khitan.

Line and paragraph separators, and controls that stand for space, become line ends. Texts stay
legible in any language: Persian loses the gaps of zero-width non-joiners, Indic scripts some
ligatures, and joined emoji fall into their parts. Characters newer than Python's Unicode tables
count as unassigned.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn"}
_IGNORABLE = (
    *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
"""First and last code point of each default-ignorable run of Unicode 16."""
_BLANK = ((0x2800, 0x2800), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159))


def visible(text: str) -> str:
    """Return a text without invisible characters; its lines and blanks stay."""
    return "".join(map(_line, text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """Return a text without invisible characters on one line, each run of space a blank."""
    return " ".join("".join(" " if letter.isspace() else _seen(letter) for letter in text).split())


def hidden(letter: str) -> bool:
    """Return whether a character is removed, or replaced by a line end if it stands for one."""
    code = ord(letter)
    return (
        unicodedata.category(letter) in _CATEGORIES
        or letter in "\u2028\u2029"
        or any(first <= code <= last for first, last in (*_IGNORABLE, *_BLANK))
    )


@lru_cache(4_096)
def _seen(letter: str) -> str:
    return "" if hidden(letter) else letter


def _line(letter: str) -> str:
    if letter in "\n\t":
        return letter
    seen = _seen(letter)
    return "\n" if not seen and letter.isspace() else seen
