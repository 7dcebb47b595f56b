"""Rare words: recognised by their bits alone, also in pictures the couplings never saw."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from core.fingerprint import visual_words, word_rarity
from core.types import Features
from tests.samples.pictures import flat, photo

PICTURES = 60
OFTEN = 3
"""Pictures of sixty that a common word is in, at least."""


@pytest.fixture(scope="module")
def described() -> list[Features]:
    """Return features of made photos that the couplings were not made from."""
    return [visual_words.extract(np.asarray(photo(seed, 320, 240))) for seed in range(PICTURES)]


def words_of(one: Features) -> NDArray[np.uint32]:
    """Return all different words, sorted."""
    return np.unique(np.frombuffer(one.words, np.uint32))


def test_most_words_are_rare(described: list[Features]) -> None:
    """Between half and nine tenths of a picture's words, of both tables, sorted, each once."""
    for one in described:
        kept, every = word_rarity.rare(one.words), words_of(one)
        assert kept.tolist() == sorted(set(every.tolist()) & set(kept.tolist()))
        assert 0.5 * len(every) < len(kept) < 0.9 * len(every)
        assert set((kept >> visual_words.BITS).tolist()) == set(range(visual_words.TABLES))


def test_what_many_pictures_have_is_common(described: list[Features]) -> None:
    """Nearly every frequent word is found, and chance matches of pictures shrink to a fifth."""
    held = Counter(word for one in described for word in words_of(one).tolist())
    often = np.array([word for word, count in held.items() if count >= OFTEN], np.uint32)
    assert len(often) > 50
    assert (word_rarity.commonness(often) >= word_rarity.COMMON).mean() > 0.9
    kept = Counter(word for one in described for word in word_rarity.rare(one.words).tolist())
    met, all_met = (sum(n * (n - 1) for n in some.values()) for some in (kept, held))
    assert met < all_met / 5


def test_the_line_is_drawn_in_whole_numbers(described: list[Features]) -> None:
    """Sums of floats equal those of integers, word for word."""
    words = words_of(described[0])
    signs = (words[:, None] >> np.arange(visual_words.BITS) & 1).astype(np.int64) * 2 - 1
    matrices = word_rarity._matrices().astype(np.int64)[words >> visual_words.BITS]
    exact = np.einsum("ni,nij,nj->n", signs, matrices, signs)
    assert word_rarity.commonness(words).tolist() == exact.tolist()


def test_no_words_no_rare_ones() -> None:
    """A flat picture has none."""
    assert word_rarity.rare(visual_words.extract(np.asarray(flat())).words).tolist() == []
