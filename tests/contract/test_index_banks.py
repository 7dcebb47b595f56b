"""An entry of a bank: read by verdicts, and deleted to every reader, in every index alike."""

from __future__ import annotations

from msgspec.structs import replace

from core.index_port import Filters, Index, IndexPage
from core.records import Fields, LogPlace, Tombstone
from tests.doubles import records as made
from tests.doubles.records import SPACE, banked, image_id, moment, put, query, record, tombstone

FIELDS = Fields(title="Boots", category="shoes", tags=("red",), owner_id="o", external_id="e")
PICTURE = record(
    1, 1, fields=FIELDS, vectors={SPACE: made.random_vector(1)}, variants=(4,), decision="block"
)
ASKED = query(9, fingerprint=made.fingerprint(1), vector=made.random_vector(1), space_id=SPACE)


def answers(index: Index) -> tuple[object, ...]:
    """Return everything that readers may learn of the pictures."""
    ids = [image_id(1), image_id(2)]
    stats = index.count_records("default")
    return (
        index.read_records("default", ids, vectors=True),
        index.read_cards("default", ids),
        index.read_vectors("default", SPACE, ids),
        index.find_neighbours("default", SPACE, made.random_vector(1), limit=5),
        index.find_neighbours(
            "default", SPACE, made.random_vector(1), limit=5, filters=Filters(decision=("block",))
        ),
        index.search_keywords("default", "boots", limit=5),
        index.search_keywords("default", "boots", limit=5, filters=Filters(owner_id="o")),
        [
            index.list_records("default", filters, 9)
            for filters in (
                Filters(),
                Filters(owner_id="o"),
                Filters(decision=("block",)),
                Filters(sha256=PICTURE.state.sha256),
                Filters(tags=("red",)),
                Filters(external_id="e"),
                Filters(verdict="variant"),
            )
        ],
        index.list_variants("default", image_id(4), 9),
        [
            index.list_values("default", by, 9)
            for by in ("category", "owner_id", "decision", "verdict", "tag")
        ],
        stats.total._replace(spaces={}),
        stats.categories,
        index.list_unembedded("default", SPACE, 9),
        index.list_unembedded("default", made.OTHER, 9),
    )


def test_readers_are_told_of_a_bank_what_they_are_told_of_a_delete(index: Index) -> None:
    """Lists, searches, values and counts answer as if there had been no such picture."""
    put(index, 1, PICTURE)
    before = answers(index)
    put(index, 2, banked(PICTURE, 2))
    hidden = answers(index)
    assert hidden != before
    index.project_entry("default", 3, [], [tombstone(1, 3)], [])
    assert hidden == answers(index)
    assert hidden[7][0] == IndexPage([], more=False)  # type: ignore[index]


def test_verdicts_read_the_entry_of_a_bank(index: Index) -> None:
    """Its state, by id, digest and match, and its hash; the tombstone is of its entry."""
    entry = banked(PICTURE, 2)
    put(index, 1, PICTURE, record(2, 1, original=1), record(3, 1, original=2, contains=(1,)))
    assert index.find_candidates("default", [ASKED])[0][0].similarity is not None
    put(index, 2, entry)
    assert index.read_states("default", [image_id(1)]) == [entry.state]
    print_ = made.fingerprint(1)
    for found in (
        index.find_states("default", sha256=[print_.sha256]),
        index.find_states("default", pixels=[print_.pixels_sha256]),
    ):
        assert found == [entry.state]
    (hit,) = index.find_candidates("default", [ASKED])[0]
    assert (hit.image_id, hit.hamming, hit.similarity) == (image_id(1), 0, None)
    assert index.find_candidates("default", [ASKED], without=[image_id(1)]) == [[]]
    assert [s.image_id for s in index.find_states("default", confirmed=[image_id(1)])] == [
        image_id(2),
        image_id(3),
    ]
    assert index.read_tombstones("default", [image_id(1), image_id(2)]) == [
        Tombstone(image_id(1), 2, moment(2)),
        None,
    ]


def test_a_bank_s_entry_changes_and_goes(index: Index) -> None:
    """A copy in the bank follows its original; forgotten, nothing finds it any more."""
    copy = record(2, 1, original=1, decision="block")
    put(index, 1, PICTURE, copy)
    put(index, 2, banked(copy, 2))
    assert index.find_candidates("default", [query(9, fingerprint=made.fingerprint(2))]) == [[]]
    verdict = replace(copy.state.verdict, kind="new", original=None)
    entry = banked(copy, 3)
    alone = replace(entry, state=replace(entry.state, verdict=verdict, anchor=LogPlace(3, 0)))
    index.project_entry("default", 3, [alone], [tombstone(1, 3)], [])
    found = index.find_candidates("default", [query(9, fingerprint=made.fingerprint(2))])
    assert [hit.image_id for hit in found[0]] == [image_id(2)]
    put(index, 4, banked(copy, 2))  # a stalled writer's older state
    assert index.read_states("default", [image_id(2)])[0] == alone.state
    index.project_entry("default", 5, [], [tombstone(2, 5)], [])
    assert index.find_candidates("default", [query(9, fingerprint=made.fingerprint(2))]) == [[]]
    assert index.read_states("default", [image_id(2)]) == [None]
    put(index, 6, banked(copy, 6))
    assert index.read_states("default", [image_id(2)]) == [None], "a tombstone stays"


def test_a_bank_s_entry_of_one_tenant_is_unseen_by_another(index: Index) -> None:
    """The wall stands for what readers cannot see as well."""
    put(index, 1, banked(PICTURE, 1))
    index.project_entry("other", 1, [record(5, 1, tenant="other")], [], [])
    assert index.find_candidates("other", [ASKED]) == [[]]
    assert index.find_states("other", sha256=[PICTURE.state.sha256]) == []
    assert index.read_tombstones("other", [image_id(1)]) == [None]
