"""Words are found as they are written, in any form that Unicode or a keyboard gives them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.full_text import LETTERS, PIECE, TOKENIZE, WORDS, index_terms, question_words
from tests.doubles.asian_captions import LANGUAGES, has, plain

SAME = [
    ("Straße", "strasse", "STRASSE", "straße", "STRAẞE"),
    ("οδός", "ΟΔΟΣ", "οδος", "Ὁδός", "ΟΔΌΣ"),
    ("ﬁsh", "fish", "\uff26\uff29\uff33\uff28", "\uff46\uff49\uff53\uff48", "FISH"),
    ("œuvre", "OEUVRE", "oeuvre", "Œuvre"),
    ("k\u0131rm\u0131z\u0131", "KIRMIZI", "kirmizi"),
    ("İstanbul", "istanbul", "ISTANBUL"),
    ("Łódź", "lodz", "ŁÓDŹ"),
    ("smørrebrød", "SMORREBROD"),
    ("Việt", "viet", "VIỆT"),
    ("ёлка", "ЕЛКА", "Ёлка"),
    ("מָיִם", "מים"),
    ("مَدْرَسَة", "مدرسة", "مدر\u0640\u0640سة"),
    ("\u0645\u06cc\u200c\u062e\u0648\u0631\u0645", "\u0645\u06cc\u062e\u0648\u0631\u0645"),
    ("soft\u00adhyphen", "softhyphen"),
    ("हिन्दी", "हिन्दी"),
    ("ガラス", "ｶﾞﾗｽ", "カ\u3099ラス"),
    ("高\U000e0101校", "高校"),
    ("น้ำ", "นํ้า"),
    ("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ("\uff11\uff12", "12"),
]


@pytest.mark.parametrize("forms", SAME, ids=lambda forms: forms[0])
def test_every_form_of_a_word_is_the_same_word(forms: tuple[str, ...]) -> None:
    """In each of Unicode's normal forms, both ways."""
    written = {normalize(form, one) for one in forms for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len({index_terms(one) for one in written}) == 1
    for one in written:
        assert question_words(one)
        assert set(question_words(one)) <= set(index_terms(f"a {one}, b").split())


def test_letters_that_differ_stay_different() -> None:
    """Vowel signs and voicing are letters: no accents."""
    for one, other in (("कि", "का"), ("か", "が"), ("มา", "ม้า"), ("ハ", "バ"), ("ß", "b")):
        assert question_words(one) != question_words(other)


@pytest.mark.parametrize(
    ("language", "precision"),
    [("Chinese", 0.85), ("Japanese", 0.88), ("Thai", 0.87), ("Korean", 0.97)],
)
def test_words_inside_sentences_without_blanks_are_found(language: str, precision: float) -> None:
    """All captions with a word are; those found by chance are few, and a sentence finds its own."""
    captions, words, sentences = LANGUAGES[language]
    right = wrong = 0
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, {TOKENIZE})")
        stored = ((n, index_terms(plain(one))) for n, one in enumerate(captions))
        db.executemany("INSERT INTO t (rowid, text) VALUES (?, ?)", stored)

        def found(text: str) -> list[int]:
            asked = " OR ".join(f'"{term}"' for term in question_words(text))
            best = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY bm25(t), rowid"
            return [row for (row,) in db.execute(best, (asked,))]

        for word in words:
            true = {n for n, one in enumerate(captions) if has(one, word)}
            assert true <= set(found(word)), word
            right += len(true)
            wrong += len(found(word)) - len(true)
        assert [found(text)[0] for text, _ in sentences] == [n for _, n in sentences]
    assert right / (right + wrong) > precision


@given(st.text(max_size=200))
def test_any_run_of_a_text_finds_it(text: str) -> None:
    """A question cut from a text has only terms of the text, if it is one run of it."""
    terms = index_terms(text).split()
    for run in text.split():
        one = run[:PIECE]
        if one == run and len(question_words(one)) == 1:
            assert set(question_words(one)) <= set(terms)


@given(st.text(max_size=300))
def test_terms_are_letters_digits_and_marks(text: str) -> None:
    """SQLite's tokenizer, which knows ASCII alone, and Weaviate's leave them as they are."""
    for term in (*index_terms(text).split(), *question_words(text)):
        assert term == "".join(c for c in term if not c.isspace() and (ord(c) > 127 or c.isalnum()))


def test_a_long_text_without_blanks_costs_what_its_first_terms_cost() -> None:
    """A question of 10,000 characters asks for 64 terms, a long word is cut on both sides."""
    assert len(question_words("中文字" * 5_000)) <= WORDS
    assert question_words("x" * 500) == index_terms("x" * 500).split() == ["x" * LETTERS]


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0e49\u0e38", "\u05b0\u0591", "\u3099\u093c"])
def test_marks_without_end_on_one_letter_end_soon(marks: str) -> None:
    """Unicode sorts them, and 10,000 of them would take a fifth of a second."""
    began = time.process_time()
    terms = index_terms("ก" + marks * 5_000).split()
    assert max(map(len, terms)) <= LETTERS
    assert question_words("dog ก" + marks * 5_000)[0] == "dog"
    assert time.process_time() - began < 0.3


def test_a_long_text_is_folded_as_its_words_are() -> None:
    """In parts that end between words, decomposed ones too."""
    words = ["Straße", normalize("NFD", "Bäume"), normalize("NFD", "한글"), "カ\u3099ラス"] * 500
    assert index_terms(" ".join(words)) == " ".join(map(index_terms, words))


def test_signs_after_a_name_are_no_part_of_it() -> None:
    """Compatibility would make letters of them."""
    for written in ("Acme™", "Acme®", "Acme℠", "Acme©", "(Acme)", "Acme…"):
        assert index_terms(written) == "acme"


def test_particles_of_japanese_count_only_where_there_is_nothing_else() -> None:
    """A question that is a particle has it as a term; in a sentence it would match all captions."""
    assert question_words("犬がスケートボードに乗る") == [
        *("犬", "スケー", "ケート", "ートボ", "トボー", "ボード", "乗")
    ]
    assert question_words("の") == ["の"]
