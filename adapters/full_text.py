"""Full-text rules that both indexes share: what is indexed and what is searched for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from unicodedata import category, combining, normalize

from core.records import Fields

TOKENIZE = "tokenize = 'porter ascii'"
"""SQLite's tokenizer of texts that `index_terms` has prepared: words by their English stems."""

WEIGHTS = (2.0, 1.0, 0.5, 0.5)
"""BM25 weights of title, description, tags and category.

A title's few words name what is to be seen, a description also mentions what is beside it, and a
tag or category is shared by many pictures and seldom distinguishes them.
"""

WORDS = 64
"""Distinct words of a question that are searched for, the first ones: each costs a look-up."""
LETTERS = 64
"""Characters of a term, stored or searched for; real words are shorter."""
_STOP = """
a about after all also am an and any are as at be because been before being between both but by can
could did do does doing during each few for from further had has have having he her here hers him
his how i if in into is it its just me more most my no nor not of off on once only or other our out
over own same she should so some such than that the their them then there these they this those
through to too under until up very was we were what when where which while who whom why will with
would you your
の に を は が で と も へ や か な た て だ し れ さ い る す から まで など です ます した
いる ある ている
"""
STOP = frozenset(_STOP.split())
"""English and Japanese stop words; searched for only where a question has no other word."""

_HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b"
    "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a0-\u30ff\u31f0-\u31ff"
_HANGUL = "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"
_INDOCHINESE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese and Khmer."""
_UNSPACED = _HAN + _HIRAGANA + _KATAKANA + _HANGUL + _INDOCHINESE
_RUN = re.compile(
    f"(?P<mixed>[{_HAN}{_HIRAGANA}{_KATAKANA}]+)|(?P<hangul>[{_HANGUL}]+)"
    f"|(?P<indochinese>[{_INDOCHINESE}]+)|[^\\s{_UNSPACED}]+"
)
"""A word, or a run of characters of a script that marks no words inside it."""
_PART = re.compile(f"(?P<han>[{_HAN}]+)|[{_KATAKANA}]+|[{_HIRAGANA}\u30fc]+")
"""A run of one script inside a Japanese run: mostly a noun, or endings and particles."""
_PARTICLE = re.compile("(.)(?:[은는이가을를의에와과도만로]|에서|에게|으로|까지|부터|들[은이을의])?")
"""A Korean word of one syllable, with a particle or without."""

PIECE = 3
"""Most characters of a piece of a run. Measured on the captions of `tests.doubles.asian_captions`:
with pieces of one to three, every caption with a word is found, and of those found 86 (Chinese), 88
(Japanese), 87 (Thai) and 97 % (Korean) have it as a word of its own; with pieces of one and two 50
to 86 %, and with pieces of two alone 76 to 100 % are found. Pieces of four add four points of
Japanese and two of Thai for a third more of the index."""

_POINTS = range(10, 37)
_ACCENTS = 200
"""Combining classes of the vowel points of Hebrew and Arabic, and least class of accents; between
them, and below, are signs of vowels and tones that are letters of their scripts."""
_IGNORED = frozenset(
    {0x34F, 0x640, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
)
"""Joiner, Arabic's stretching dash and selectors of variants, which are no format characters."""
_BMP = 0x10000
"""Number of characters that are remembered once seen; the others are rare."""


class _Folding(dict[int, str]):
    """Table for `str.translate` of decomposed text, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        one = chr(code)
        kind, mark = category(one), combining(one)
        if kind == "Cf" or code in _IGNORED or mark in _POINTS or mark >= _ACCENTS:
            found = ""
        else:
            found = one if one.isalnum() or kind[0] == "M" else " "
        if code < _BMP:
            self[code] = found
        return found


_FOLD = _Folding(
    zip(map(ord, "\u0131łøđæœ\u200b"), ("i", "l", "o", "d", "ae", "oe", " "), strict=True)
)
"""Letters that Unicode does not take apart, and the invisible blank between Khmer or Thai words."""


_TRADE_MARKS = str.maketrans("\u2122\u2120", "  ")
"""Signs that are letters by compatibility, yet no part of the name before them."""
_SLICE = re.compile(r".{1,1000}(?=\s|\Z)|.{1,1000}", re.DOTALL)
"""Part of a text that is folded at once: sorting n marks on one letter takes n * n steps."""


def folded(text: str) -> str:
    """Return the words of a text, without case, accents, ligatures, widths and punctuation.

    This is Unicode's compatibility case folding (NFKC, full case folding), less accents.
    """
    return "".join(map(_folded, _SLICE.findall(text.translate(_TRADE_MARKS))))


def _folded(text: str) -> str:
    text = normalize("NFKC", text).casefold()
    return normalize("NFC", normalize("NFKD", text).translate(_FOLD))


def index_terms(text: str) -> str:
    """Return the terms by which a text is found, joined by blanks.

    A word is a term. A run of a script without blanks between words gives its pieces of one to
    `PIECE` characters, so a word is found wherever it is in the run; Korean, which has blanks, but
    particles after each word, gives single syllables only where they are a word.
    """
    found: list[str] = []
    for run in _RUN.finditer(folded(text)):
        word = run.group()
        if run.lastgroup is None:
            found.append(word[:LETTERS])
            continue
        units = _characters(word)
        if run.lastgroup != "hangul":
            found += units
        elif alone := _PARTICLE.fullmatch(word):
            found.append(alone[1])
        for size in range(2, PIECE + 1):
            found += _pieces(units, size)
    return " ".join(found)


def _characters(run: str) -> list[str]:
    """Split a run into characters, each with its vowels and tones, in one order."""
    found: list[list[str]] = []
    for one in run:
        if found and category(one)[0] == "M":
            found[-1].append(one)
        else:
            found.append([one])
    return ["".join((one[0], *sorted(one[1:])))[: LETTERS // PIECE] for one in found]


def _pieces(units: Sequence[str], size: int) -> list[str]:
    return ["".join(units[n : n + size]) for n in range(len(units) - size + 1)]


def indexed_texts(fields: Fields) -> tuple[str, str, str, str] | None:
    """Return the terms of title, description, tags and category, None where all are empty."""
    found = (
        index_terms(fields.title or ""),
        index_terms(fields.description or ""),
        index_terms("\n".join(fields.tags)),
        index_terms(fields.category or ""),
    )
    return found if any(found) else None


def question_words(text: str) -> list[str]:
    """Return the distinct terms of a question to search for, at most `WORDS`, case folded.

    They hold letters, digits and their marks alone: nothing a user writes is an operator.
    """
    found: dict[str, None] = {}
    spare: dict[str, None] = {}
    for word in _asked(folded(text)):
        (spare if word in STOP else found)[word] = None
        if len(found) == WORDS:
            break
    return list(found or spare)[:WORDS]


def _asked(text: str) -> Iterator[str]:
    """Yield the terms of a question in order.

    A short run is one term, however many words it is. A longer one is likely several words: it is
    parted by script, and each part asks for all its pieces, of two characters in Chinese, whose
    words mostly have two, else of `PIECE`.
    """
    for run in _RUN.finditer(text):
        word = run.group()
        if run.lastgroup is None:
            yield word[:LETTERS]
        elif run.lastgroup != "mixed" or len(word) <= PIECE:
            yield from _longest(word, PIECE)
            if run.lastgroup == "hangul" and (alone := _PARTICLE.fullmatch(word)):
                yield alone[1]
        else:
            for part in _PART.finditer(word):
                yield from _longest(part.group(), 2 if part.lastgroup else PIECE)


def _longest(run: str, size: int) -> list[str]:
    units = _characters(run)
    return ["".join(units)] if len(units) <= PIECE else _pieces(units, size)
