"""Full-text rules that both indexes share: what is indexed and what is searched for."""

from __future__ import annotations

import re
import unicodedata

from core.records import Fields

TOKENIZE = "tokenize = 'porter unicode61 remove_diacritics 2'"
"""SQLite's tokenizer: letters and digits, without case and accents, by their stems."""

WEIGHTS = (2.0, 1.0, 0.5, 0.5)
"""BM25 weights of title, description, tags and category.

A title's few words name what is to be seen, a description also mentions what is beside it, and a
tag or category is shared by many pictures and seldom distinguishes them.
"""

WORDS = 64
"""Distinct words of a question that are searched for, the first ones: each costs a look-up."""
LETTERS = 64
"""Characters of a word that is searched for; real words are shorter."""
_STOP = """
a about after all also am an and any are as at be because been before being between both but by can
could did do does doing during each few for from further had has have having he her here hers him
his how i if in into is it its just me more most my no nor not of off on once only or other our out
over own same she should so some such than that the their them then there these they this those
through to too under until up very was we were what when where which while who whom why will with
would you your
"""
STOP = frozenset(_STOP.split())
"""English stop words; searched for only where a question has no other word."""

_WORD = re.compile(r"[^\W_]+")


def indexed_texts(fields: Fields) -> tuple[str, str, str, str] | None:
    """Return title, description, tags (a line each) and category, None where all are empty."""
    found = (
        fields.title or "",
        fields.description or "",
        "\n".join(fields.tags),
        fields.category or "",
    )
    return found if any(found) else None


def question_words(text: str) -> list[str]:
    """Return the distinct words of a question to search for, at most `WORDS`, case folded.

    They hold letters and digits alone: nothing a user writes is an operator.
    """
    found: dict[str, None] = {}
    spare: dict[str, None] = {}
    for one in _WORD.finditer(unicodedata.normalize("NFC", text)):
        word = one.group()[:LETTERS].casefold()
        (spare if word in STOP else found)[word] = None
        if len(found) == WORDS:
            break
    return list(found or spare)[:WORDS]
