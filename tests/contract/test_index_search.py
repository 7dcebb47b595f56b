"""Every index finds records by their words, and by their vectors under any filters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sqlite_index import SQLiteIndex
from core.filters import card, passes
from core.index_port import Filters, Index
from core.matching.policy import POLICY
from core.records import Fields, Record
from tests.doubles import records as made
from tests.doubles.asian_captions import LANGUAGES, plain
from tests.doubles.records import SPACE, image_id, record, tombstone

Opens = Callable[[], Index]


def titled(n: int, title: str | None, seq: int = 1, **more: object) -> Record:
    """Return a record with a title."""
    fields = Fields(
        title=title, **{k: more.pop(k) for k in list(more) if k in Fields.__annotations__}
    )  # type: ignore[arg-type]
    return record(n, seq, fields=fields, **more)  # type: ignore[arg-type]


def put(index: Index, *records: Record) -> None:
    """Project an entry that left only records."""
    tenant = records[0].tenant
    index.project_entry(tenant, index.watermark(tenant) + 1, records, [], [])


def found(index: Index, text: str, limit: int = 50, **more: object) -> list[int]:
    """Numbers of the records with some words."""
    hits = index.search_keywords("default", text, limit=limit, **more)  # type: ignore[arg-type]
    assert [hit.similarity for hit in hits] == sorted((h.similarity for h in hits), reverse=True)
    assert all(hit.similarity >= 0 for hit in hits)
    return [int(hit.image_id[-12:]) for hit in hits]


def test_words_are_found_in_every_field_and_form(index: Index) -> None:
    """Any of them, by their stems, whatever case or accent; the title weighs most."""
    put(
        index,
        titled(1, None, description="somewhere a boat, and much else is said of that harbour"),
        titled(2, "Boats"),
        titled(3, None, tags=("boat",), category="x"),
        titled(4, "Straße im Café", category="boat"),
        titled(5, "nothing of the kind"),
    )
    assert found(index, "BOAT")[0] == 2
    assert sorted(found(index, "boat")) == [1, 2, 3, 4]
    assert found(index, "cafe") == [4]
    assert sorted(found(index, "café harbour")) == [1, 4]
    assert found(index, "cafe\u0301") == [4]
    assert found(index, "unheard") == []


FORMS = {
    "Straße": ("strasse", "STRASSE", "straße"),
    "ΟΔΟΣ": ("οδός", "οδοσ"),
    "ﬁreﬂies": ("fireflies", "FIREFLY"),
    "\uff26\uff35\uff2c\uff2c": ("full",),
    "KIRMIZI": ("k\u0131rm\u0131z\u0131", "kirmizi"),
    "हिन्दी": ("हिन्दी",),
    "Ba\u0308ume": ("Bäume", "baume"),
    "running dogs": ("run", "DOG", "dog's"),
}


def test_both_indexes_find_the_same_records(open_local: Opens, open_weaviate: Opens) -> None:
    """Words of any script and form, and sentences without blanks, find one set in both."""
    captions = [plain(one) for written, _, _ in LANGUAGES.values() for one in written]
    records = [titled(n, one) for n, one in enumerate([*FORMS, *captions])]
    local, remote = open_local(), open_weaviate()
    put(local, *records)
    put(remote, *records)
    asked = [text for _, words, _ in LANGUAGES.values() for text in words]
    asked += [text for _, _, sentences in LANGUAGES.values() for text, _ in sentences]
    for text in (*asked, *HOSTILE):
        assert set(found(local, text)) == set(found(remote, text)), text
    for n, forms in enumerate(FORMS.values()):
        for text in forms:
            assert found(local, text) == found(remote, text) == [n], text


def test_both_indexes_find_the_same_records_by_any_text(
    open_local: Opens, open_weaviate: Opens
) -> None:
    """Texts of letters, marks and signs of many scripts, and queries cut from them."""
    draw = random.Random(14)
    signs = "aéß\u0131İ\u017fΣς \u0308ﬁ\uff19中京東猫かがカー々のกำ้แमि्كَ한글이을 -_'™½①Ⅷ\t\n\x00"
    signs += "\u200b\u200d\u00ad\u3000\ufe0f"
    texts = ["".join(draw.choices(signs, k=draw.randint(1, 40))) for _ in range(150)]
    local, remote = open_local(), open_weaviate()
    for index in (local, remote):
        put(index, *(titled(n, one, tags=(one[::-1],)) for n, one in enumerate(texts)))
    for text in texts[:80]:
        start = draw.randrange(len(text))
        query = text[start : start + draw.randint(1, 8)]
        assert set(found(local, query, 500)) == set(found(remote, query, 500)), query


def test_of_equals_the_one_that_came_first(index: Index) -> None:
    """Cut at the limit, without those named, also after a change."""
    put(index, *(titled(n, "same words") for n in (7, 3, 9, 1)), titled(2, "other"))
    assert found(index, "words") == [7, 3, 9, 1]
    assert found(index, "words", limit=2) == [7, 3]
    assert found(index, "words", limit=2, without=[image_id(7), image_id(9)]) == [3, 1]
    put(index, titled(7, "same words", 2))
    assert found(index, "words") == [7, 3, 9, 1]


def test_copies_have_words_of_their_own(index: Index) -> None:
    """They are found by them; an edited or deleted one is no longer found by its old words."""
    put(index, titled(1, "dog"), titled(2, "puppy", original=1), titled(3, "cat"))
    assert found(index, "puppy") == [2]
    put(index, titled(2, "hound", 2, original=1))
    assert (found(index, "puppy"), found(index, "hound")) == ([], [2])
    index.project_entry("default", 3, [], [tombstone(2, 3)], [])
    assert found(index, "hound") == []


def test_a_copy_passes_filters_by_itself_in_a_keyword_search(index: Index) -> None:
    """Its words are its own, so its original does not stand for it."""
    put(
        index,
        titled(1, "dog", owner_id="a"),
        titled(2, "dog", owner_id="b", original=1),
        titled(3, "dog", owner_id="b", decision="block"),
    )
    assert found(index, "dog", filters=Filters(owner_id="b")) == [2, 3]
    assert found(index, "dog", filters=Filters(owner_id="b", decision=("allow",))) == [2]
    assert found(index, "dog", filters=Filters(owner_id="nobody")) == []
    assert found(index, "dog", limit=1, filters=Filters(owner_id="b")) == [2]


def test_stop_words_count_only_where_there_is_nothing_else(index: Index) -> None:
    """A question's small words bring up no strangers; a title of small words can be found."""
    put(index, titled(1, "the who"), titled(2, "a dog"), titled(3, "the the"))
    assert found(index, "the dog") == [2]
    assert sorted(found(index, "The who")) == [1, 3]


def test_tenants_have_words_of_their_own(index: Index) -> None:
    """Neither found nor weighed by another's."""
    put(index, titled(1, "dog", tenant="default"))
    before = index.search_keywords("default", "dog", limit=5)
    put(index, *(titled(n, "dog cat", tenant="other") for n in range(2, 40)))
    assert index.search_keywords("default", "dog", limit=5) == before
    assert found(index, "cat") == []
    assert index.search_keywords("nobody", "dog", limit=5) == []
    index.project_entry(
        "late", 9, [titled(1, "dog", tenant="late")], [], []
    )  # out of turn: nothing
    assert index.search_keywords("late", "dog", limit=5) == []


def test_another_instance_filters_by_what_was_written_meanwhile(opens: Opens) -> None:
    """Columns that were read once are kept up: changes, new ones, deletes, swaps of tenants."""
    writer, reader = opens(), opens()
    blocked = Filters(decision=("block",))
    put(writer, titled(1, "dog", vectors={SPACE: made.random_vector(1)}), titled(2, "dog"))

    def both(filters: Filters) -> tuple[list[str], list[int]]:
        near = reader.find_neighbours(
            "default", SPACE, made.random_vector(1), limit=9, filters=filters
        )
        return [hit.image_id for hit in near], found(reader, "dog", filters=filters)

    assert both(blocked) == ([], [])
    put(
        writer,
        titled(1, "dog", 2, decision="block", vectors={SPACE: made.random_vector(1)}),
        titled(3, "dog", 2, decision="block", category="c"),
    )
    assert both(blocked) == ([image_id(1)], [1, 3])
    assert both(Filters(category="c")) == ([], [3])
    writer.project_entry("default", 3, [], [tombstone(1, 3)], [])
    assert both(blocked) == ([], [3])
    assert both(Filters(decision=("allow",))) == ([], [2])


def test_values_are_those_that_records_have(index: Index) -> None:
    """Sorted, each once, cut; of this tenant alone."""
    assert index.list_values("default", "tag", 9) == []
    put(
        index,
        titled(1, None, category="b", tags=("x", "y"), owner_id="o"),
        titled(2, None, category="a", tags=("y",), decision="block"),
        titled(3, None, original=1, category="b"),
    )
    put(index, titled(4, None, tenant="other", category="c"))
    assert index.list_values("default", "category", 9) == ["a", "b"]
    assert index.list_values("default", "category", 1) == ["a"]
    assert index.list_values("default", "tag", 9) == ["x", "y"]
    assert index.list_values("default", "owner_id", 9) == ["o"]
    assert index.list_values("default", "decision", 9) == ["allow", "block"]
    assert index.list_values("default", "verdict", 9) == ["near_duplicate", "new"]


HOSTILE = [
    '"',
    '""',
    'a" OR title:b',
    "NEAR(a b)",
    "title:dog",
    "dog*",
    "^dog",
    "-dog",
    "dog AND",
    "(dog",
    "{title} : dog",
    "dog\x00cat",
    "\x00",
    "😀",
    "'; DROP TABLE words_1; --",
    "a + b",
    "\ud800",
    "٣ ² Ⅷ ﬁ",
    "%_",
    "\u200d\u0301",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_a_syntax_error(index: Index, text: str) -> None:
    """Every operator of a query language is only a character."""
    put(index, titled(1, "dog"))
    assert found(index, text) in ([], [1])
    assert found(index, f"{text} dog") in ([], [1])
    assert found(index, "dog") == [1]


@given(text=st.text(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_can_be_asked(index: Index, text: str) -> None:
    """A stored title finds its own record, if it has a word."""
    if index.watermark("default") == 0:
        put(index, titled(1, "dog"))
    found(index, text)


def test_long_texts_cost_no_more_than_long_questions(index: Index) -> None:
    """10,000 characters of any kind, on thousands of records, end soon."""
    put(index, *(titled(n, f"w{n % 97} w{n % 89} dog") for n in range(1500)))
    for text in (
        " ".join(f"w{n}" for n in range(2500))[:10_000],
        "a" * 10_000,
        '" ' * 5_000,
        "dog " * 2_500,
        "é" * 10_000,
    ):
        began = time.perf_counter()
        found(index, text)
        found(index, text, filters=Filters(decision=("allow",)))
        assert time.perf_counter() - began < 30


CHOICES = {
    "category": st.sampled_from([None, None, "c", "d"]),
    "decision": st.sampled_from([(), ("allow",), ("block",), ("allow", "block")]),
    "verdict": st.sampled_from([None, None, "new", "near_duplicate"]),
    "owner_id": st.sampled_from([None, None, "a", "b"]),
    "external_id": st.sampled_from([None, None, "x"]),
    "original_id": st.sampled_from([None, None, image_id(0)]),
    "tags": st.sampled_from([(), (), ("t",), ("t", "u")]),
    "accepted_after": st.sampled_from([None, None, made.moment(20)]),
    "accepted_before": st.sampled_from([None, None, made.moment(60)]),
}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, list[Record]]]:
    """Yield an index of a hundred varied records, with them; a third are copies without vectors."""
    index = SQLiteIndex(tmp_path_factory.mktemp("crowd") / "index.db", POLICY, durable=False)
    records = []
    for n in range(100):
        original = n % 7 if n >= 7 and n % 3 == 0 else None
        fields = Fields(
            title=f"dog w{n % 5}" if n % 2 else "cat",
            category=(None, "c", "d")[n % 3],
            owner_id=("a", "b", None)[n % 11 % 3],
            external_id="x" if n % 13 == 0 else None,
            tags=((), ("t",), ("t", "u"))[n % 5 % 3],
        )
        vectors = {} if original is not None else {SPACE: made.random_vector(n % 40)}
        decision = "allow" if n % 4 else "block"
        records.append(
            record(n, 1, original=original, fields=fields, vectors=vectors, decision=decision)
        )
    index.project_entry("default", 1, records, [], [])
    yield index, records
    index.close()


@given(filters=st.builds(Filters, **CHOICES), limit=st.integers(1, 120), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=200)
def test_filters_give_what_looking_at_each_record_gives(
    crowd: tuple[Index, list[Record]], filters: Filters, limit: int, seed: int
) -> None:
    """In both kinds of search, however many they let through."""
    index, records = crowd
    passing = [one for one in records if passes(card(one), filters)]
    model = made.Model()
    model.project(records, [])
    asked = made.random_vector(seed)
    near = index.find_neighbours("default", SPACE, asked, limit=limit, filters=filters)
    expected = model.near(SPACE, asked, model.standing(filters, SPACE))
    assert [tuple(one) for one in near] == expected[:limit]
    words = {one.state.image_id for one in passing if "dog" in (one.fields.title or "")}
    hits = index.search_keywords("default", "dogs", limit=limit, filters=filters)
    every = [
        one for one in index.search_keywords("default", "dogs", limit=500) if one.image_id in words
    ]
    assert hits == every[:limit]
    assert len(every) == len(words)
