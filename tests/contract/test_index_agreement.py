"""Whatever happened to it, an index answers as a plain dictionary of its records does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.filters import card
from core.index_port import Filters, Index, RecordCard
from core.matching.policy import Policy
from core.records import Fields, Record
from core.types import Value, Vector
from tests.doubles import records as made
from tests.doubles.records import OTHER, SPACE, Model, image_id, record, tombstone

POLICY = Policy(visual_floor=0.25, visual_top=3)
PICTURES = 12
"""Few, so that changes and deletes meet the same ones again and again."""
TENANTS = count()

law = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FIELDS = st.builds(
    Fields,
    category=st.sampled_from([None, "shoes", "hats"]),
    tags=st.sampled_from([(), ("red",), ("red", "new"), ("new", "new")]),
    owner_id=st.sampled_from([None, "a", "b"]),
    external_id=st.sampled_from([None, "x"]),
)
DECISIONS: st.SearchStrategy[Value] = st.sampled_from(["allow", "review", "block"])
OTHERS = st.lists(st.integers(0, PICTURES - 1), max_size=3, unique=True)
MOMENTS = st.sampled_from([made.moment(n) for n in range(4)])
"""Uploads often come in the same millisecond."""


@pytest.fixture
def policy() -> Policy:
    """Return the policy of an index for many examples, each of which is a tenant of its own."""
    return POLICY


@st.composite
def changes(draw: st.DrawFn, tenant: str, seq: int) -> Record:
    """Return a picture's next state: an original or a copy, with vectors of this and that space."""
    n = draw(st.integers(0, PICTURES - 1))
    original = draw(st.none() | st.integers(0, PICTURES - 1).filter(lambda other: other != n))
    seeds = draw(
        st.dictionaries(st.sampled_from([SPACE, OTHER]), st.integers(0, 5))
        if original is None
        else st.just({})
    )
    vectors: dict[str, Vector] = {
        # equal vectors of different pictures, and a picture with another one than before
        space: made.random_vector(seed if seed < 3 else n + 10)
        for space, seed in seeds.items()
    }
    variants = draw(st.sets(st.integers(0, PICTURES - 1).filter(lambda other: other != n)))
    return record(
        n,
        seq,
        tenant=tenant,
        original=original,
        contains=draw(OTHERS) if original is not None else (),
        variants=sorted(variants),
        decision=draw(DECISIONS),
        anchor=draw(st.booleans()),
        # two pictures of one hash, and flat ones
        print_=made.fingerprint(
            n, turns=made.turns(n // 2), comparable=draw(st.integers(0, 4)) > 0
        ),
        fields=draw(FIELDS),
        vectors=vectors,
        accepted_at=made.moment(n % 4),
        closed=draw(st.booleans()),
    )


def history(index: Index, data: st.DataObject) -> None:
    """Entries of any changes and deletes, read in between or not: all answers agree."""
    tenant = f"t{next(TENANTS)}"
    model = Model()
    entries = data.draw(st.integers(1, 6))
    for seq in range(1, entries + 1):
        records = data.draw(st.lists(changes(tenant, seq), max_size=5))
        hidden = {image_id(n) for n in data.draw(st.sets(st.integers(0, PICTURES - 1), max_size=2))}
        hidden |= model.live.keys() - model.shown.keys()  # an entry of a bank stays one
        records = [
            made.banked(one, seq) if one.state.image_id in hidden else one for one in records
        ]
        gone = data.draw(st.sets(st.integers(0, PICTURES - 1), max_size=2))
        removed = [tombstone(n, seq) for n in sorted(gone)]
        index.project_entry(tenant, seq, records, removed, [])
        model.project(records, removed)
        if seq == entries or data.draw(st.booleans()):
            agree(index, tenant, seq, model)


@pytest.fixture
def local(open_local: Callable[[], Index]) -> Index:
    """Return the embedded index, shared by all examples."""
    return open_local()


@pytest.fixture
def remote(open_weaviate: Callable[[], Index]) -> Index:
    """Return an index on a server."""
    return open_weaviate()


@given(data=st.data())
@law
def test_any_history_is_answered_as_by_a_dictionary(local: Index, data: st.DataObject) -> None:
    """The embedded index agrees."""
    history(local, data)


@given(data=st.data())
@settings(law, max_examples=6)
def test_any_history_on_a_server_is_answered_so_too(remote: Index, data: st.DataObject) -> None:
    """Weaviate agrees in a few histories, as each takes seconds."""
    history(remote, data)


def tidy(one: RecordCard) -> RecordCard:
    """Tags and spaces have no order."""
    return one._replace(tags=tuple(sorted(set(one.tags))), spaces=tuple(sorted(one.spaces)))


def agree(index: Index, tenant: str, seq: int, model: Model) -> None:
    """Compare the answers about every picture."""
    ids = [image_id(n) for n in range(PICTURES)]
    states = [model.live.get(each) for each in ids]
    live = [model.shown.get(each) for each in ids]
    assert index.watermark(tenant) == seq
    assert index.read_records(tenant, ids) == [each and made.bare(each) for each in live]
    assert index.read_states(tenant, ids) == [each and each.state for each in states]
    assert index.read_tombstones(tenant, ids) == [model.tombstone(each) for each in ids]
    assert [index.find_states(tenant, originals=[each]) for each in ids] == [
        model.copies(each) for each in ids
    ]
    assert [index.find_states(tenant, confirmed=[each]) for each in ids] == [
        model.naming(each) for each in ids
    ]
    for each in ids:
        variants = model.variants(each)
        assert index.list_variants(tenant, each, 99) == variants
        for n, last in enumerate(variants, 1):
            before = last.accepted_at, last.image_id
            assert index.list_variants(tenant, each, 1, before) == variants[n : n + 1]
    assert index.list_records(tenant, Filters(), 99).records == model.page(Filters())
    for space in (SPACE, OTHER):
        asked = made.random_vector(0)
        near = index.find_neighbours(tenant, space, asked, limit=99)
        assert [tuple(each) for each in near] == model.near(space, asked)
        filters = [
            Filters(decision=("allow",)),
            Filters(category="shoes", tags=("red",)),
            Filters(owner_id="a", accepted_after=made.moment(0)),
            Filters(original_id=image_id(3)),
            Filters(verdict="near_duplicate", external_id="x"),
        ]
        for each in filters:
            found = index.find_neighbours(tenant, space, asked, limit=99, filters=each)
            assert [tuple(one) for one in found] == model.near(
                space, asked, model.standing(each, space)
            )
            few = index.find_neighbours(tenant, space, asked, limit=2, filters=each)
            assert few == found[:2]
        stored = index.read_vectors(tenant, space, ids)
        assert [None if v is None else v.tolist() for v in stored] == [
            each.vectors[space].tolist() if each and space in each.vectors else None
            for each in live
        ]
    assert [each and tidy(each) for each in index.read_cards(tenant, ids)] == [
        each and tidy(card(each)) for each in live
    ]
    copies = index.find_states(tenant, originals=ids)
    assert [[one for one in copies if one.original == each] for each in ids] == [
        model.copies(each) for each in ids
    ]
    queries = [
        made.query(
            n,
            fingerprint=made.fingerprint(n, turns=made.turns(n // 2)),
            vector=made.random_vector(n),
            space_id=SPACE,
        )
        for n in range(PICTURES)
    ]
    expected = [model.hits(each, POLICY.phash_radius, 3, 0.25) for each in queries]
    assert index.find_candidates(tenant, queries) == expected
    assert index.count_records(tenant) == model.stats(seq)


@given(
    drawn=st.lists(st.tuples(FIELDS, DECISIONS, st.integers(0, 3)), max_size=25),
    filters=st.builds(
        Filters,
        category=st.sampled_from([None, None, "shoes", "none such"]),
        tags=st.sampled_from([(), (), ("red",), ("new",), ("new", "red")]),
        verdict=st.sampled_from([None, None, "new", "near_duplicate"]),
        decision=st.lists(DECISIONS, max_size=2, unique=True).map(tuple),
        owner_id=st.sampled_from([None, None, "a"]),
        external_id=st.sampled_from([None, None, "x"]),
        sha256=st.sampled_from([None, None, None, made.fingerprint(3).sha256]),
        original_id=st.sampled_from([None, None, None, image_id(0)]),
        accepted_after=st.none() | MOMENTS,
        accepted_before=st.none() | MOMENTS,
    ),
    size=st.integers(1, 5),
)
@law
def test_pages_put_together_are_the_sorted_list(
    index: Index,
    drawn: list[tuple[Fields, Value, int]],
    filters: Filters,
    size: int,
) -> None:
    """For any filters and any page size: nothing twice, nothing left out, `more` never lies."""
    tenant = f"t{next(TENANTS)}"
    model = Model()
    records = [
        record(
            n,
            1,
            tenant=tenant,
            original=0 if n % 4 == 1 else None,
            decision=decision,
            fields=fields,
            accepted_at=made.moment(when),
        )
        for n, (fields, decision, when) in enumerate(drawn)
    ]
    index.project_entry(tenant, 1, records, [], [])
    model.project(records, [])
    expected = model.page(filters)
    found: list[Record] = []
    more, before = True, None
    while more:
        page, more = index.list_records(tenant, filters, size, before)
        found += page
        assert more == (len(found) < len(expected))
        if page:
            before = (page[-1].state.accepted_at, page[-1].state.image_id)
    assert found == expected
