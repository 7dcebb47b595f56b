"""The inverted table: it finds what pairs say, whatever was added and removed in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.fingerprint import sketches, visual_words
from core.fingerprint.visual_words import BITS, TABLES
from core.matching import inverted_index
from core.matching.inverted_index import InvertedIndex
from core.types import Features
from tests.samples.pictures import EDITS, photo
from tests.samples.votes import votes

MADE = 12


def scattered(seed: int, count: int = 60) -> Features:
    """Features without a picture: words and places by chance."""
    draw = np.random.default_rng(seed)
    tables = np.arange(TABLES, dtype=np.uint32) << BITS
    words = draw.integers(0, 1 << BITS, (2, count, TABLES), np.uint32) + tables
    points = draw.uniform(1, 200, (count, 4)).astype(np.float32)
    return Features(words[0].tobytes(), words[1].tobytes(), points.tobytes(), 224, 224)


def noisy(made: Features, seed: int, share: float = 0.5) -> Features:
    """Return the same features with some of their words replaced."""
    draw = np.random.default_rng(seed)
    words = np.frombuffer(made.words, np.uint32).reshape(-1, TABLES).copy()
    other = np.frombuffer(scattered(seed + 10_000, len(words)).words, np.uint32)
    lost = draw.random(len(words)) < share
    words[lost] = other.reshape(-1, TABLES)[lost]
    return Features(words.tobytes(), made.mirrored, made.points, made.width, made.height)


@pytest.fixture(scope="module")
def stored() -> list[Features]:
    """Features of made photos."""
    return [visual_words.extract(np.asarray(photo(seed, 224, 168))) for seed in range(MADE)]


def test_finds_edits_with_the_votes_of_the_pair(stored: list[Features]) -> None:
    """The first of the list is the photo that was edited, with what the two alone count."""
    table = InvertedIndex()
    table.extend(range(MADE), stored)
    for name in ("crop-40", "mirror", "screenshot"):
        query = visual_words.extract(np.asarray(EDITS[name].image(photo(5, 224, 168), 3)))
        assert table.search(query)[0] == (5, votes(query, stored[5]))


def test_every_answer_is_that_of_the_pair(stored: list[Features]) -> None:
    """Each row that is found has the votes that the pair has."""
    table = InvertedIndex()
    table.extend(range(MADE), stored)
    found = table.search(stored[0])
    assert found[0].row == 0
    assert [one.ballot for one in found] == [votes(stored[0], stored[row]) for row, _ in found]


def test_order_of_adding_does_not_matter(stored: list[Features]) -> None:
    """One by one, at once, in any order, loaded or dumped: the same answers."""
    at_once, singly = InvertedIndex(), InvertedIndex()
    at_once.extend(range(MADE), stored)
    for row in np.random.default_rng(1).permutation(MADE).tolist():
        singly.add(row, stored[row])
    loaded = InvertedIndex.load(singly.dump())
    for query in stored:
        assert at_once.search(query) == singly.search(query) == loaded.search(query)


def test_removed_is_not_found(stored: list[Features]) -> None:
    """A removed row is gone, the row put in its place is found, unknown rows are no error."""
    table = InvertedIndex()
    table.extend(range(MADE), stored)
    table.remove(4)
    table.remove(999)
    assert 4 not in [row for row, _ in table.search(stored[4])]
    table.add(4, stored[0])
    assert (len(table), 4 in table) == (MADE, True)
    assert 4 not in [row for row, one in table.search(stored[4]) if one.votes >= 5]
    assert [row for row, one in table.search(stored[0]) if one.votes >= 5] == [0, 4]


def test_nothing_in_nothing_out(stored: list[Features]) -> None:
    """An empty table and an empty picture find nothing."""
    empty = Features(b"", b"", b"", 10, 10)
    table = InvertedIndex()
    assert table.search(stored[0]) == []
    table.extend([], [])
    table.add(0, empty)
    assert table.search(empty) == []
    assert table.search(stored[0]) == []
    assert InvertedIndex.load(InvertedIndex().dump()).search(stored[0]) == []
    assert len(InvertedIndex.load(table.dump())) == 1


def test_top_is_a_bound() -> None:
    """The result is within the limit, the most votes first, equal ones by row."""
    table = InvertedIndex()
    one = scattered(0)
    table.extend(range(30), [one] * 30)
    assert table.search(one, 5) == [(row, votes(one, one)) for row in range(5)]


Step = tuple[str, int, int]
_steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 11), st.integers(0, 5)),
    max_size=40,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_steps)
def test_any_history_ends_as_a_fresh_table(steps: list[Step]) -> None:
    """After any additions, replacements and removals it answers as a table made at once."""
    table, held = InvertedIndex(), {}
    for act, row, seed in steps:
        if act == "add":
            held[row] = noisy(scattered(seed), row)
            table.add(row, held[row])
        else:
            held.pop(row, None)
            table.remove(row)
    fresh = InvertedIndex()
    fresh.extend(list(held), list(held.values()))
    for seed in range(6):
        assert table.search(scattered(seed)) == fresh.search(scattered(seed))


def test_many_removals_make_it_anew() -> None:
    """After more removals than are worth keeping the table holds and finds what is left."""
    table = InvertedIndex()
    made = [scattered(seed, 12) for seed in range(1_500)]
    table.extend(range(1_500), made)
    for row in range(1_200):
        table.remove(row)
    assert len(table) == 300
    assert len(table.dump()["rows"]) == 300
    assert table.search(made[1_400])[0][0] == 1_400
    assert table.search(made[3]) == []


def test_one_lookup_reads_the_rarest_words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few of the words that many pictures share are read; a picture's own words find it."""
    monkeypatch.setattr(inverted_index, "_POSTINGS", 200)
    shared, own = scattered(1, 100), scattered(2, 12)
    both = Features(own.words + shared.words, b"", own.points + shared.points, 224, 168)
    table = InvertedIndex()
    table.extend(range(60), [shared] * 30 + [both] + [scattered(n, 12) for n in range(3, 32)])
    read = [len(table._meet(way).slots) for way in sketches.query_sketches(both)]
    assert 0 < max(read) <= 200
    assert table.search(both)[0].row == 30


def test_common_words_do_not_count() -> None:
    """Among many pictures, words that a two-hundredth of them share make no candidate."""
    table = InvertedIndex()
    common = scattered(1, 12)
    made = [scattered(seed, 12) for seed in range(10, 2_490)]
    table.extend(range(2_500), [common] * 20 + made)
    assert table.search(common) == []
    assert table.search(made[7])[0][0] == 27


@given(
    words=st.sets(st.integers(0, (TABLES << BITS) - 1), min_size=1, max_size=200),
    asked=st.lists(st.integers(0, (TABLES << BITS) - 1), max_size=50),
)
@settings(max_examples=30, deadline=None)
def test_a_table_of_places_finds_what_a_binary_search_finds(
    words: set[int], asked: list[int]
) -> None:
    """The words at either end, their neighbours, and any others."""
    last = (TABLES << BITS) - 1
    words |= {0, 63, 64, last}
    keys = np.repeat(np.sort(np.array(list(words), np.uint64)), 2) << np.uint64(32)
    keys += np.arange(len(keys), dtype=np.uint64) << np.uint64(8)
    run = inverted_index._run(keys, 2 * len(words))
    table = run._replace(places=inverted_index._WordPlaces.of(run.words))
    assert run.places is None
    near = [word + step for word in words for step in (-1, 0, 1) if 0 <= word + step <= last]
    every = np.unique(np.array([*near, *asked], np.uint32))
    (starts, counts), (others, same) = (inverted_index._find(one, every) for one in (run, table))
    assert counts.tolist() == same.tolist() == [2 * (word in words) for word in every.tolist()]
    assert starts[counts > 0].tolist() == others[counts > 0].tolist()


def test_large_tables_of_places_change_no_answer(
    stored: list[Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every run's words in such a table, merges included."""
    few = InvertedIndex()
    few.extend(range(MADE), stored)
    monkeypatch.setattr(inverted_index, "_MANY", 0)
    many = InvertedIndex()
    for row, one in enumerate(stored):
        many.add(row, one)
    assert all(run.places is not None for run in many._runs)
    assert [many.search(one) for one in stored] == [few.search(one) for one in stored]
