"""Searches of the index on Weaviate whose answers lie behind much that is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adapters.weaviate_index import WeaviateIndex, collections
from core.index_port import Filters
from core.records import Fields
from tests.doubles import records as made
from tests.doubles.records import SPACE, image_id, put, record

Opens = Callable[..., WeaviateIndex]


def test_copies_pass_filters_for_their_originals_however_many_they_are(opens: Opens) -> None:
    """If the originals are too many to be named in the filter, the nearest ones are checked."""
    index = opens()
    stored = [record(n, 1, vectors={SPACE: made.random_vector(n)}) for n in range(30)]
    copies = [record(30 + n, 1, original=n, decision="block") for n in range(0, 30, 2)]
    put(index, 1, *stored, *copies)
    model = made.Model()
    model.project([*stored, *copies], [])
    asked, filters = made.random_vector(99), Filters(decision=("block",))
    expected = model.near(SPACE, asked, model.standing(filters, SPACE))
    named = index.find_neighbours("default", SPACE, asked, limit=4, filters=filters)
    index._now.neighbours._standins = 0
    looked = index.find_neighbours("default", SPACE, asked, limit=4, filters=filters)
    assert [tuple(one) for one in named] == expected[:4]
    assert looked == named


def test_what_passes_by_itself_is_found_however_far_it_is(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found even if too many copies pass the filter, and none of the near records does."""
    index = opens()
    asked = made.random_vector(99)
    # The one that a copy passes for is the nearest: of equals an index may give any.
    beside = [asked + 0.1 * made.random_vector(n) for n in range(20)]
    beside[5] = asked
    near = [
        record(n, 1, vectors={SPACE: one / np.linalg.norm(one)}) for n, one in enumerate(beside)
    ]
    far = record(30, 1, decision="block", vectors={SPACE: -asked})
    copy = record(31, 1, original=5, decision="block")
    put(index, 1, *near, far, copy)
    index._now.neighbours._standins = 0
    monkeypatch.setattr(collections, "MOST", 12)
    found = index.find_neighbours(
        "default", SPACE, asked, limit=2, filters=Filters(decision=("block",))
    )
    assert [one.image_id for one in found] == [image_id(5), image_id(30)]


def test_older_objects_take_no_place_in_a_keyword_search(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead writer left many objects of one record: the search fetches until it has enough."""
    index = opens()
    with monkeypatch.context() as patched:
        patched.setattr(index._now.writing, "_clear", lambda *_: None)
        put(index, 1, record(1, 1, fields=Fields(title="dog and cat and fish")))
        for seq in range(2, 12):
            put(index, seq, record(2, seq, fields=Fields(title="dog")))
    monkeypatch.setattr("adapters.weaviate_index.keyword_search._MORE", 0)
    monkeypatch.setattr("adapters.weaviate_index.keyword_search._EQUAL", 2)
    found = index.search_keywords("default", "dog", limit=2)
    assert [one.image_id for one in found] == [image_id(2), image_id(1)]
