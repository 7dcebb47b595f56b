"""Maximal marginal relevance: near the question, unlike each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.mmr import DIVERSITY, diverse
from tests.doubles.records import random_vector, unit

ONE, OTHER = unit([1, 0, 0]), unit([0, 1, 0])


def test_a_second_one_of_the_same_gives_way_to_something_else() -> None:
    """The worse of two alike goes behind a worse one that shows something new."""
    assert diverse([1.0, 0.98, 0.9], [ONE, ONE, OTHER], 3) == [0, 2, 1]
    assert diverse([1.0, 0.98, 0.9], [ONE, ONE, OTHER], 2) == [0, 2]


def test_what_is_far_from_the_question_does_not_come_for_being_different() -> None:
    """Relevance weighs more than difference."""
    assert diverse([1.0, 0.98, 0.3], [ONE, ONE, OTHER], 2) == [0, 1]


def test_without_vectors_the_order_stays() -> None:
    """Nothing is known to be alike."""
    assert diverse([3.0, 2.0, 1.0], [None, None, None], 3) == [0, 1, 2]
    assert diverse([0.0, 0.0], [ONE, ONE], 5) == [0, 1]


@pytest.mark.parametrize("limit", [0, -1])
def test_nothing_is_asked_for(limit: int) -> None:
    """No picture, no error."""
    assert diverse([1.0], [ONE], limit) == []
    assert diverse([], [], 3) == []


@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 2**31))
def test_each_pick_is_the_best_by_the_formula(count: int, limit: int, seed: int) -> None:
    """Lambda * relevance - (1 - lambda) * the highest similarity to what was picked before."""
    generator = np.random.default_rng(seed)
    relevance = np.sort(generator.uniform(0.1, 1, count))[::-1]
    vectors = [random_vector(int(n)) for n in generator.integers(0, 2**31, count)]
    picked = diverse(relevance.tolist(), vectors, limit)
    assert len(set(picked)) == len(picked) == min(limit, count)
    assert picked[0] == 0
    for place, pick in enumerate(picked[1:], 1):
        gains = {
            n: DIVERSITY * relevance[n] / relevance[0]
            - (1 - DIVERSITY)
            * max(0.0, *(float(vectors[n] @ vectors[before]) for before in picked[:place]), 0.0)
            for n in range(count)
            if n not in picked[:place]
        }
        assert gains[pick] == pytest.approx(max(gains.values()), abs=1e-6)
