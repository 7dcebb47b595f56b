"""Tokens of a picture's local features in Weaviate."""

from __future__ import annotations

import numpy as np

from adapters.weaviate_index import visual_words as source
from core.fingerprint import visual_words, word_rarity
from tests.samples.pictures import flat, photo


def test_every_word_is_a_token_of_its_own() -> None:
    """The lowest, the highest and any other word differ; white space alone separates tokens."""
    random = np.random.default_rng(1)
    top = visual_words.TABLES << visual_words.BITS
    words = np.unique(np.r_[0, 1, 63, 64, top - 1, random.integers(0, top, 5_000)])
    tokens = source.tokens(words.astype(np.uint32)).split()
    assert len(set(tokens)) == len(words)
    assert {len(token) for token in tokens} == {5}


def test_words_that_say_nothing_are_not_stored() -> None:
    """Few of a photo's are left out, and a flat picture has no property at all."""
    described = visual_words.extract(np.asarray(photo(1, 320, 240)))
    properties = source.stored(described)
    assert properties["words"] == source.tokens(
        word_rarity.rare(described.words, word_rarity.EMPTY)
    )
    different = len(np.unique(np.frombuffer(described.words, np.uint32)))
    assert 0.8 * different < len(properties["words"].split()) < different
    assert source.stored(visual_words.extract(np.asarray(flat()))) == {}
