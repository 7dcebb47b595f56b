"""Every index keeps the same contract: what it holds, and what it never forgets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from adapters.sqlite_index import SQLiteIndex
from core.errors import IndexUnavailableError
from core.index_port import Filters, Index, IndexPage, ServiceIndex
from core.records import EXTERNAL_ID, Fields, State
from tests.doubles import records as made
from tests.doubles.records import OTHER, SPACE, image_id, outcome, put, query, record, tombstone

Opens = Callable[[], Index]


def everything(index: Index, tenant: str = "default") -> tuple[object, ...]:
    """Return all that the index answers about a few made pictures, as one value to compare."""
    ids = [image_id(n) for n in range(8)]
    prints = [made.fingerprint(n) for n in range(8)]
    vectors = [index.read_vectors(tenant, space, ids) for space in (SPACE, OTHER)]
    return (
        index.watermark(tenant),
        index.read_states(tenant, ids),
        index.read_records(tenant, ids),
        index.read_tombstones(tenant, ids),
        index.find_states(
            tenant, sha256=[p.sha256 for p in prints], pixels=[p.pixels_sha256 for p in prints]
        ),
        [index.find_states(tenant, originals=[each]) for each in ids],
        [index.list_variants(tenant, each, 99) for each in ids],
        index.find_candidates(
            tenant,
            [query(n, vector=made.random_vector(n), space_id=SPACE) for n in range(8)]
            + [query(99, fingerprint=each) for each in prints],
        ),
        index.list_records(tenant, Filters(), 200),
        index.read_outcomes(tenant, ids),
        index.list_outcomes(tenant, None, 200),
        index.find_neighbours(tenant, SPACE, made.random_vector(1), limit=9),
        [[None if v is None else v.tolist() for v in found] for found in vectors],
        index.count_records(tenant),
    )


def lived(index: Index, tenant: str = "default") -> None:
    """Three entries: pictures with all they may have, then a copy and a delete."""
    fields = Fields(
        title="Boots", category="shoes", tags=("red", "new"), owner_id="o", external_id="e"
    )
    vectors = {SPACE: made.random_vector(1), OTHER: made.random_vector(2)}
    index.project_entry(
        tenant,
        1,
        [record(1, 1, tenant=tenant, fields=fields, vectors=vectors), record(2, 1, tenant=tenant)],
        [],
        [outcome(1, 1), outcome(2, 1)],
    )
    index.project_entry(tenant, 2, [record(3, 2, tenant=tenant, original=1)], [], [outcome(3, 2)])
    index.project_entry(tenant, 3, [], [tombstone(2, 3)], [outcome(4, 3, failed=True)])


def test_an_unknown_tenant_has_nothing(index: Index) -> None:
    """Every question about a tenant without entries gets an empty answer."""
    assert isinstance(index, ServiceIndex)
    assert index.tenants() == []
    assert index.watermark("nobody") == 0
    assert index.read_states("nobody", [image_id(1)]) == [None]
    assert index.read_records("nobody", [image_id(1)], vectors=True) == [None]
    assert index.read_tombstones("nobody", [image_id(1)]) == [None]
    assert index.find_states("nobody", sha256=["a"], pixels=["b"]) == []
    assert index.find_states("nobody", originals=[image_id(1)]) == []
    assert index.find_states("nobody", confirmed=[image_id(1)]) == []
    assert index.list_variants("nobody", image_id(1), 5) == []
    asked = query(1, vector=made.random_vector(1), space_id=SPACE)
    assert index.find_candidates("nobody", [asked]) == [[]]
    assert index.list_records("nobody", Filters(), 5) == IndexPage([], more=False)
    assert index.read_outcomes("nobody", ["j"]) == [None]
    assert index.list_outcomes("nobody", "done", 5) == ([], False)
    assert index.find_neighbours("nobody", SPACE, made.random_vector(1), limit=3) == []
    assert index.read_vectors("nobody", SPACE, [image_id(1)])[0] is None
    assert index.count_records("nobody").total == (0, {}, {}, {})


def test_the_longest_external_ids_are_told_apart_and_found(index: Index) -> None:
    """Whole, to their last character, however many bytes each takes."""
    ids = [start * (EXTERNAL_ID - 1) + end for start in ("a", "😀") for end in ("1", "2")]
    records = [record(n, 1, fields=Fields(external_id=own)) for n, own in enumerate(ids, start=1)]
    index.project_entry("default", 1, records, [], [outcome(n, 1) for n in range(1, 5)])
    for one, own in zip(records, ids, strict=True):
        page = index.list_records("default", Filters(external_id=own), 5)
        assert [found.state for found in page.records] == [one.state]
        assert page.records[0].fields.external_id == own


def test_what_was_projected_is_read_back_whole(index: Index) -> None:
    """Records, vectors, tombstones and outcomes come back equal, in the order of the ids passed."""
    lived(index)
    fields = Fields(
        title="Boots", category="shoes", tags=("red", "new"), owner_id="o", external_id="e"
    )
    first, third = record(1, 1, fields=fields), record(3, 2, original=1)
    ids = [image_id(3), image_id(9), image_id(1), image_id(2)]
    assert index.read_records("default", ids) == [third, None, first, None]
    assert index.read_states("default", ids) == [third.state, None, first.state, None]
    assert index.read_tombstones("default", ids) == [None, None, None, tombstone(2, 3)]
    assert index.find_states("default", originals=[image_id(1)]) == [third.state]
    assert index.read_outcomes("default", [image_id(4), image_id(1)]) == [
        outcome(4, 3, failed=True),
        outcome(1, 1),
    ]
    found = index.read_records("default", [image_id(1)], vectors=True)[0]
    assert found is not None
    stored = {space: vector.tolist() for space, vector in found.vectors.items()}
    assert stored == {
        SPACE: made.random_vector(1).tolist(),
        OTHER: made.random_vector(2).tolist(),
    }
    assert index.tenants() == ["default"]


def test_projecting_twice_is_projecting_once(index: Index) -> None:
    """An entry that comes again, or out of turn, changes nothing."""
    lived(index)
    before = everything(index)
    lived(index)
    put(index, 5, record(5, 5))
    assert everything(index) == before


def test_a_stalled_writer_undoes_nothing(index: Index) -> None:
    """An older entry neither replaces a newer state nor brings back a deleted picture."""
    lived(index)
    put(index, 4, record(1, 4, decision="block"))
    late = [record(1, 2), record(2, 1)]
    index.project_entry("default", 5, late, [], [outcome(3, 1, failed=True)])
    assert index.read_states("default", [image_id(1), image_id(2)]) == [
        record(1, 4, decision="block").state,
        None,
    ]
    assert index.read_outcomes("default", [image_id(3)]) == [outcome(3, 2)]
    assert index.find_candidates("default", [query(99, fingerprint=made.fingerprint(2))]) == [[]]


def test_a_delete_beats_a_state_of_its_own_entry(index: Index) -> None:
    """Settled and deleted by one entry: it is deleted, and never comes back."""
    index.project_entry("default", 1, [record(1, 1)], [tombstone(1, 1)], [])
    put(index, 2, record(1, 2))
    assert index.read_states("default", [image_id(1)]) == [None]
    assert index.read_tombstones("default", [image_id(1)]) == [tombstone(1, 1)]
    assert index.count_records("default").total.images == 0


def test_tenants_are_walls(index: Index) -> None:
    """The same pictures of another tenant change no answer, and an unknown one sees none."""
    lived(index)
    alone = everything(index)
    nobody = everything(index, "other")
    for seq in range(1, 4):
        fields = Fields(category="theirs", tags=("red",), owner_id="o")
        vectors = {SPACE: made.random_vector(1)}
        n = seq + 3
        put(index, seq, record(n, seq, tenant="other", fields=fields, vectors=vectors))
    assert everything(index) == alone
    assert nobody == everything(index, "third")
    theirs = everything(index, "other")
    put(index, 4, record(6, 4, fields=Fields(tags=("red",), owner_id="o")))
    assert everything(index, "other") == theirs


def test_a_deleted_record_is_found_by_nothing(index: Index) -> None:
    """After a delete no look-up names the record; its tombstone does."""
    vectors = {SPACE: made.random_vector(1)}
    fields = Fields(tags=("red",))
    put(index, 1, record(1, 1, vectors=vectors, fields=fields), record(2, 1, original=1))
    asked = query(9, fingerprint=made.fingerprint(1), vector=vectors[SPACE], space_id=SPACE)
    assert [hit.image_id for hit in index.find_candidates("default", [asked])[0]] == [image_id(1)]
    index.project_entry("default", 2, [], [tombstone(1, 2)], [])
    print_ = made.fingerprint(1)
    assert index.find_candidates("default", [asked]) == [[]]
    assert index.find_neighbours("default", SPACE, vectors[SPACE], limit=5) == []
    assert index.find_states("default", sha256=[print_.sha256], pixels=[print_.pixels_sha256]) == []
    assert index.list_records("default", Filters(tags=("red",)), 5) == IndexPage([], more=False)
    assert index.read_vectors("default", SPACE, [image_id(1)])[0] is None
    assert index.read_tombstones("default", [image_id(1)]) == [tombstone(1, 2)]


def test_time_bounds_leave_the_moment_itself_out(index: Index) -> None:
    """After is later than, before is earlier than."""
    stored = [record(n, 1) for n in range(5)]
    put(index, 1, *stored)
    filters = Filters(accepted_after=made.moment(1), accepted_before=made.moment(4))
    assert index.list_records("default", filters, 9) == IndexPage(
        [stored[3], stored[2]], more=False
    )
    assert index.list_records("default", filters, 1) == IndexPage([stored[3]], more=True)


def test_content_is_found_by_either_digest(index: Index) -> None:
    """Copies and purged ones included, each once."""
    same = made.fingerprint(1)
    pixels = made.fingerprint(4, pixels_sha256=same.pixels_sha256)
    stored = [
        record(1, 1),
        record(2, 1, original=1, kind="exact", print_=same),
        record(3, 1, content="purged"),
        record(4, 1, original=1, print_=pixels),
    ]
    put(index, 1, *stored)
    states = [each.state for each in stored]
    found = index.find_states("default", sha256=[same.sha256], pixels=[same.pixels_sha256])
    assert found == [states[0], states[1], states[3]]
    assert index.find_states("default", sha256=[made.fingerprint(3).sha256]) == [states[2]]
    assert index.find_states("default", sha256=[]) == []


def test_copies_come_in_the_order_of_the_log(index: Index) -> None:
    """Not by the time of upload; one that is changed keeps its place."""
    put(index, 1, record(1, 1))
    put(index, 2, record(7, 2, original=1))
    put(index, 3, record(5, 3, original=1))
    put(index, 4, record(7, 4, original=1, decision="block"))
    found = [state.image_id for state in index.find_states("default", originals=[image_id(1)])]
    assert found == [image_id(7), image_id(5)]


def test_variants_are_listed_newest_first(index: Index) -> None:
    """Part by part, until their verdict names others or they are deleted."""
    first, second = record(2, 1, variants=(1,)), record(4, 2, variants=(1, 2))
    copy = record(3, 3, original=4, variants=(1,))
    elsewhere = record(9, 1, tenant="other", variants=(1,))
    index.project_entry("other", 1, [elsewhere], [], [])
    put(index, 1, record(1, 1), first)
    put(index, 2, second)
    put(index, 3, copy)

    def listed(n: int, limit: int = 9, before: tuple[str, str] | None = None) -> list[State]:
        return index.list_variants("default", image_id(n), limit, before)

    assert listed(1) == [second.state, copy.state, first.state]
    assert listed(1, 2) == [second.state, copy.state]
    assert listed(1, 2, (made.moment(3), image_id(3))) == [first.state]
    assert listed(2) == [second.state]
    assert index.list_variants("other", image_id(1), 9) == [elsewhere.state]
    changed = record(4, 4, variants=(3,))
    index.project_entry("default", 4, [changed], [tombstone(2, 4)], [])
    assert (listed(1), listed(2), listed(3)) == ([copy.state], [], [changed.state])


def test_a_record_is_found_by_every_confirmed_match(index: Index) -> None:
    """By its original and by the others, listed or not, until it names them no longer."""
    put(index, 1, *(record(n, 1) for n in range(1, 5)))
    plain, collage = record(5, 2, original=2), record(6, 2, original=1, contains=(2, 3))
    put(index, 2, plain, collage)

    def naming(*numbers: int) -> list[State]:
        return index.find_states("default", confirmed=[image_id(n) for n in numbers])

    assert [naming(n) for n in range(1, 5)] == [
        [collage.state],
        [plain.state, collage.state],
        [collage.state],
        [],
    ]
    assert naming(1, 2, 3) == [plain.state, collage.state]
    less = record(6, 3, original=1, contains=(3,))
    put(index, 3, less)
    assert [naming(n) for n in range(1, 4)] == [[less.state], [plain.state], [less.state]]
    index.project_entry("default", 4, [], [tombstone(6, 4)], [])
    assert naming(1, 3) == []


def test_outcomes_are_listed_newest_first_by_status(index: Index) -> None:
    """Pages follow one another without a gap; failed are those with a problem."""
    ended = [outcome(n, 1, failed=n % 3 == 0) for n in range(10)]
    index.project_entry("default", 1, [], [], ended)
    newest = ended[::-1]
    assert index.list_outcomes("default", None, 4) == (newest[:4], True)
    before = (newest[3].accepted_at, newest[3].job_id)
    assert index.list_outcomes("default", None, 6, before) == (newest[4:], False)
    failed = [each for each in newest if each.problem]
    assert index.list_outcomes("default", "failed", 3) == (failed[:3], True)
    done = [each for each in newest if not each.problem]
    assert index.list_outcomes("default", "done", 6) == (done, False)


def test_stats_count_by_category_and_space(index: Index) -> None:
    """A copy is represented where its original has a vector, and missing where it has not."""
    shoes, hats = Fields(category="shoes"), Fields(category="hats")
    put(
        index,
        1,
        record(1, 1, fields=shoes, vectors={SPACE: made.random_vector(1)}),
        record(2, 1, fields=shoes, original=1, decision="review"),
        record(3, 1, fields=hats),
        record(4, 1, original=3, decision="block", vectors={OTHER: made.random_vector(1)}),
    )
    actual = index.count_records("default")
    assert actual.total.images == 4
    assert actual.total.verdicts == {"new": 2, "near_duplicate": 2}
    assert actual.total.decisions == {"allow": 2, "review": 1, "block": 1}
    assert actual.total.spaces == {SPACE: (1, 2, 1), OTHER: (1, 0, 0)}
    assert set(actual.categories) == {"shoes", "hats"}
    assert actual.categories["shoes"].spaces == {SPACE: (1, 0, 1), OTHER: (0, 0, 0)}
    assert actual.categories["hats"].decisions == {"allow": 1}
    assert actual.watermark == 1


def test_categories_that_differ_by_a_blank_are_counted_apart(index: Index) -> None:
    """The counts of one entry for one category leave the others alone."""
    names = ["shoes ", "shoes", " ", "shoes", "shoes ", " shoes"]
    for seq, name in enumerate(names, 1):
        put(index, seq, record(seq, seq, fields=Fields(category=name)))
    counted = index.count_records("default")
    assert counted.total.images == 6
    assert {name: group.images for name, group in counted.categories.items()} == Counter(names)


def test_another_instance_follows(opens: Opens) -> None:
    """One instance answers with what another has projected, whatever it had in memory."""
    writer, reader = opens(), opens()
    lived(writer)
    assert everything(reader) == everything(writer)
    put(writer, 4, record(3, 4, vectors={SPACE: made.random_vector(3)}), record(5, 4))
    assert everything(reader) == everything(writer)
    writer.project_entry("default", 5, [record(5, 5, original=3)], [tombstone(1, 5)], [])
    assert everything(reader) == everything(writer)
    assert everything(opens()) == everything(writer)


def test_it_is_all_there_when_opened_again(opens: Opens) -> None:
    """Closing loses nothing, and a closed one answers no more."""
    first = opens()
    lived(first)
    before = everything(first)
    first.close()
    with pytest.raises(IndexUnavailableError):
        first.watermark("default")
    again = opens()
    assert everything(again) == before
    put(again, 4, record(5, 4))
    assert again.watermark("default") == 4


def test_readers_and_the_writer_do_not_disturb_each_other(index: Index) -> None:
    """While entries go in, every thread reads whole ones, up to the watermark."""
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen = index.watermark("default")
            asked = [
                query(
                    999,
                    fingerprint=made.fingerprint(n),
                    vector=made.random_vector(n),
                    space_id=SPACE,
                )
                for n in range(max(1, seen - 3), seen + 1)
            ]
            found = index.find_candidates("default", asked)
            for each, hits in zip(asked, found, strict=True):
                exact = [h for h in hits if h.hamming == 0 and np.isclose(h.similarity or 0, 1)]
                if len(exact) != 1:
                    failures.append(f"{each.fingerprint.sha256}: {hits}")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seq in range(1, 150 if isinstance(index, SQLiteIndex) else 30):
        put(index, seq, record(seq, seq, vectors={SPACE: made.random_vector(seq)}))
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
