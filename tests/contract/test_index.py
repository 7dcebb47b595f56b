"""Every index keeps the same contract: what it holds, what it finds, what it never forgets."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from adapters.local_index import LocalIndex
from core.candidates import measure
from core.entries import Fields, Record
from core.errors import IndexUnavailableError, MalformedError
from core.features import extract
from core.policy import Policy
from core.ports import Filters, Index, Neighbour, Page
from core.scenes import photo
from core.types import Features, Fingerprint, Hit
from tests import records as made
from tests.records import OTHER, SPACE, image_id, outcome, query, record, tombstone

POLICY = Policy(visual_floor=0.25, visual_top=5)
Open = Callable[[], Index]


@pytest.fixture
def opened(opens: Callable[[Policy], Index]) -> Open:
    """Opens the same empty index, as often as it is called."""
    return lambda: opens(POLICY)


@pytest.fixture
def index(opened: Open) -> Index:
    """One of them."""
    return opened()


def put(index: Index, seq: int, *records: Record) -> None:
    """Project an entry that left only records."""
    index.project(records[0].tenant, seq, records, [], [])


def everything(index: Index, tenant: str = "default") -> tuple[object, ...]:
    """All that can be asked of a few made pictures, as one value to compare."""
    ids = [image_id(n) for n in range(8)]
    prints = [made.fingerprint(n) for n in range(8)]
    vectors = [[index.vector(tenant, space, each) for each in ids] for space in (SPACE, OTHER)]
    return (
        index.watermark(tenant),
        index.states(tenant, ids),
        index.records(tenant, ids),
        index.fingerprints(tenant, ids),
        index.tombstones(tenant, ids),
        index.by_content(tenant, [p.sha256 for p in prints], [p.pixels_sha256 for p in prints]),
        [index.copies(tenant, each) for each in ids],
        index.hits(
            tenant,
            [query(n, vector=made.random_vector(n), space_id=SPACE) for n in range(8)]
            + [query(99, fingerprint=each) for each in prints],
        ),
        index.page(tenant, Filters(), 200),
        index.outcomes(tenant, ids),
        index.outcome_page(tenant, None, 200),
        index.neighbours(tenant, SPACE, made.random_vector(1), limit=9),
        [[None if v is None else v.tolist() for v in found] for found in vectors],
        index.stats(tenant),
    )


def lived(index: Index, tenant: str = "default") -> None:
    """Three entries: pictures with all they may have, then a copy and a delete."""
    fields = Fields(
        title="Boots", category="shoes", tags=("red", "new"), owner_id="o", external_id="e"
    )
    vectors = {SPACE: made.random_vector(1), OTHER: made.random_vector(2)}
    index.project(
        tenant,
        1,
        [record(1, 1, tenant=tenant, fields=fields, vectors=vectors), record(2, 1, tenant=tenant)],
        [],
        [outcome(1, 1), outcome(2, 1)],
    )
    index.project(tenant, 2, [record(3, 2, tenant=tenant, original=1)], [], [outcome(3, 2)])
    index.project(tenant, 3, [], [tombstone(2, 3)], [outcome(4, 3, failed=True)])


def test_an_unknown_tenant_has_nothing(index: Index) -> None:
    """Every question about a tenant without entries gets an empty answer."""
    assert isinstance(index, Index)
    assert index.tenants() == []
    assert index.watermark("nobody") == 0
    assert index.states("nobody", [image_id(1)]) == [None]
    assert index.records("nobody", [image_id(1)], vectors=True) == [None]
    assert index.tombstones("nobody", [image_id(1)]) == [None]
    assert index.by_content("nobody", ["a"], ["b"]) == []
    assert index.copies("nobody", image_id(1)) == []
    asked = query(1, vector=made.random_vector(1), space_id=SPACE)
    assert index.hits("nobody", [asked]) == [[]]
    assert index.page("nobody", Filters(), 5) == Page([], more=False)
    assert index.outcomes("nobody", ["j"]) == [None]
    assert index.outcome_page("nobody", "done", 5) == ([], False)
    assert index.neighbours("nobody", SPACE, made.random_vector(1), limit=3) == []
    assert index.vector("nobody", SPACE, image_id(1)) is None
    assert index.stats("nobody").total == (0, {}, {}, {})


def test_what_was_projected_is_read_back_whole(index: Index) -> None:
    """Records, vectors, tombstones and outcomes come back equal, in the order asked for."""
    lived(index)
    fields = Fields(
        title="Boots", category="shoes", tags=("red", "new"), owner_id="o", external_id="e"
    )
    first, third = record(1, 1, fields=fields), record(3, 2, original=1)
    ids = [image_id(3), image_id(9), image_id(1), image_id(2)]
    assert index.records("default", ids) == [third, None, first, None]
    assert index.states("default", ids) == [third.state, None, first.state, None]
    assert index.fingerprints("default", ids) == [third.fingerprint, None, first.fingerprint, None]
    assert index.tombstones("default", ids) == [None, None, None, tombstone(2, 3)]
    assert index.copies("default", image_id(1)) == [third.state]
    assert index.outcomes("default", [image_id(4), image_id(1)]) == [
        outcome(4, 3, failed=True),
        outcome(1, 1),
    ]
    found = index.records("default", [image_id(1)], vectors=True)[0]
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
    """What an older entry left neither replaces a newer state nor brings back what was deleted."""
    lived(index)
    put(index, 4, record(1, 4, decision="block"))
    late = [record(1, 2), record(2, 1)]
    index.project("default", 5, late, [], [outcome(3, 1, failed=True)])
    assert index.states("default", [image_id(1), image_id(2)]) == [
        record(1, 4, decision="block").state,
        None,
    ]
    assert index.outcomes("default", [image_id(3)]) == [outcome(3, 2)]
    assert index.hits("default", [query(99, fingerprint=made.fingerprint(2))]) == [[]]


def test_a_delete_beats_a_state_of_its_own_entry(index: Index) -> None:
    """Settled and deleted by one entry: it is deleted, and never comes back."""
    index.project("default", 1, [record(1, 1)], [tombstone(1, 1)], [])
    put(index, 2, record(1, 2))
    assert index.states("default", [image_id(1)]) == [None]
    assert index.tombstones("default", [image_id(1)]) == [tombstone(1, 1)]
    assert index.stats("default").total.images == 0


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
    assert [hit.image_id for hit in index.hits("default", [asked])[0]] == [image_id(1)]
    index.project("default", 2, [], [tombstone(1, 2)], [])
    print_ = made.fingerprint(1)
    assert index.hits("default", [asked]) == [[]]
    assert index.neighbours("default", SPACE, vectors[SPACE], limit=5) == []
    assert index.by_content("default", [print_.sha256], [print_.pixels_sha256]) == []
    assert index.page("default", Filters(tags=("red",)), 5) == Page([], more=False)
    assert index.vector("default", SPACE, image_id(1)) is None
    assert index.tombstones("default", [image_id(1)]) == [tombstone(1, 2)]


def test_a_copy_leaves_the_candidates_and_returns(index: Index) -> None:
    """An anchor that becomes a copy takes its hash and vector along; made an anchor, it is back."""
    vectors = {SPACE: made.random_vector(2)}
    asked = query(9, fingerprint=made.fingerprint(2), vector=vectors[SPACE], space_id=SPACE)
    hit = Hit(image_id=image_id(2), hamming=0, turn=0, similarity=pytest.approx(1.0, abs=1e-6))  # type: ignore[arg-type]
    put(index, 1, record(1, 1), record(2, 1, vectors=vectors))
    assert index.hits("default", [asked]) == [[hit]]
    put(index, 2, record(2, 2, original=1))
    assert index.hits("default", [asked]) == [[]]
    assert index.neighbours("default", SPACE, vectors[SPACE], limit=5) == []
    assert index.vector("default", SPACE, image_id(2)) is None
    put(index, 3, record(2, 3, vectors=vectors))
    assert index.hits("default", [asked]) == [[hit]]
    assert [n.image_id for n in index.neighbours("default", SPACE, vectors[SPACE], limit=5)] == [
        image_id(2)
    ]


def test_a_record_that_is_no_anchor_any_more_keeps_its_vector(index: Index) -> None:
    """It is still a neighbour to a search, but no candidate for an upload."""
    vectors = {SPACE: made.random_vector(2)}
    asked = query(9, vector=vectors[SPACE], space_id=SPACE)
    put(index, 1, record(2, 1, vectors=vectors))
    assert [hit.image_id for hit in index.hits("default", [asked])[0]] == [image_id(2)]
    put(index, 2, record(2, 2, vectors=vectors, anchor=False))
    assert index.hits("default", [asked]) == [[]]
    near = index.neighbours("default", SPACE, vectors[SPACE], limit=5)
    assert [each.image_id for each in near] == [image_id(2)]


def test_time_bounds_leave_the_moment_itself_out(index: Index) -> None:
    """After is later than, before is earlier than."""
    stored = [record(n, 1) for n in range(5)]
    put(index, 1, *stored)
    filters = Filters(accepted_after=made.moment(1), accepted_before=made.moment(4))
    assert index.page("default", filters, 9) == Page([stored[3], stored[2]], more=False)
    assert index.page("default", filters, 1) == Page([stored[3]], more=True)


def test_closed_anchors_are_left_out_and_purged_ones_are_not(index: Index) -> None:
    """What is being deleted takes no new copies; what was taken down still catches its own."""
    put(index, 1, record(1, 1, closed=True), record(2, 1, content="purged"))
    found = index.hits("default", [query(9, fingerprint=made.fingerprint(n)) for n in (1, 2)])
    assert found == [[], [Hit(image_id=image_id(2), hamming=0, turn=0)]]


def test_others_take_the_places_of_those_left_out(index: Index) -> None:
    """Hits without some records are those of an index that never had them."""
    stored = [
        record(n, 1, vectors={SPACE: made.random_vector(n)}, print_=alike(n)) for n in range(30)
    ]
    put(index, 1, *stored)
    model = made.Model()
    model.project(stored, [])
    asked = query(99, fingerprint=alike(99), vector=made.random_vector(99), space_id=SPACE)
    every = model.hits(asked, 12, 5, 0.25)
    assert index.hits("default", [asked]) == [every]
    without = [hit.image_id for hit in every[::2]]
    expected = model.hits(asked, 12, 5, 0.25, without)
    assert index.hits("default", [asked], without=[*without, image_id(500)]) == [expected]
    assert [hit.image_id for hit in expected if hit.similarity] != [
        hit.image_id for hit in every if hit.similarity
    ]


def alike(n: int) -> Fingerprint:
    """One of many fingerprints that lie around the radius of one another."""
    return made.fingerprint(n, turns=(made.flipped(made.turns(0)[0], *range(n % 17)),) * 8)


def test_hash_hits_name_the_turn_and_the_distance(index: Index) -> None:
    """Up to the policy's radius, over all eight turns, the first of the closest; not when flat."""
    stored = made.fingerprint(1)
    put(index, 1, record(1, 1), record(2, 1, print_=made.fingerprint(2, comparable=False)))

    def asking(turn: int, bits: int) -> list[Hit]:
        turns = list(made.turns(77))
        turns[turn] = made.flipped(stored.phash, *range(bits))
        asked = query(9, fingerprint=made.fingerprint(9, turns=tuple(turns)))
        return index.hits("default", [asked])[0]

    assert asking(5, 12) == [Hit(image_id=image_id(1), hamming=12, turn=5)]
    assert asking(5, 13) == []
    assert asking(0, 0) == [Hit(image_id=image_id(1), hamming=0, turn=0)]
    flat = query(9, fingerprint=made.fingerprint(1, comparable=False))
    assert index.hits("default", [flat, query(9, fingerprint=made.fingerprint(2))]) == [[], []]
    assert index.hits("default", [query(1)]) == [[]]  # not its own candidate


def test_visual_hits_are_the_nearest_above_the_floor(index: Index) -> None:
    """The policy's top, not below its floor, anchors alone, each batch as each query alone."""
    vectors = [{SPACE: made.random_vector(n)} for n in range(60)]
    for n in range(60):
        put(index, n + 1, record(n, n + 1, vectors=vectors[n], anchor=n % 3 > 0))
    model = made.Model()
    model.project([record(n, 1, vectors=vectors[n], anchor=n % 3 > 0) for n in range(60)], [])
    asked = [query(n, vector=made.random_vector(n), space_id=SPACE) for n in range(50, 70)]
    expected = [model.hits(each, 12, 5, 0.25) for each in asked]
    assert index.hits("default", asked) == expected
    assert [index.hits("default", [each])[0] for each in asked] == expected


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Pictures with enough to hold on to."""
    return [photo(seed, 320, 240) for seed in range(12)]


def seen(image: Image.Image) -> Features:
    """The local features of a picture."""
    return extract(np.asarray(image))


def test_features_find_crops_and_mirrors(index: Index, photos: list[Image.Image]) -> None:
    """Without hash or vector; not after a delete, not for a copy, not where it is left out."""
    stored = [
        record(n, 1, print_=made.fingerprint(n, features=seen(image)))
        for n, image in enumerate(photos)
    ]
    put(index, 1, *stored)
    plain = query(
        50, fingerprint=made.fingerprint(50, features=seen(photos[3].crop((60, 40, 280, 210))))
    )
    other = query(51, fingerprint=made.fingerprint(51, features=seen(ImageOps.mirror(photos[7]))))

    def found(**options: list[str]) -> list[list[tuple[str, bool]]]:
        hits = index.hits("default", [plain, other], **options)
        assert all(hit.hamming is None and hit.similarity is None for each in hits for hit in each)
        assert all((hit.votes or 0) >= POLICY.feature_votes for each in hits for hit in each)
        return [[(hit.image_id, hit.mirrored) for hit in each] for each in hits]

    third, seventh = (image_id(3), False), (image_id(7), True)
    assert found() == [[third], [seventh]]
    assert found(without=[image_id(3)]) == [[], [seventh]]
    itself = query(3, fingerprint=stored[3].fingerprint)
    assert index.hits("default", [itself]) == [[]]
    index.project(
        "default",
        2,
        [record(7, 2, original=1, print_=stored[7].fingerprint)],
        [tombstone(3, 2)],
        [],
    )
    assert found() == [[], []]
    put(index, 3, record(7, 3, print_=stored[7].fingerprint))
    assert found() == [[], [seventh]]
    swapped = made.fingerprint(7, features=stored[5].fingerprint.features)
    put(index, 4, record(7, 4, print_=swapped))
    assert found() == [[], []]


def test_hits_are_what_measuring_every_pair_gives(index: Index, photos: list[Image.Image]) -> None:
    """To the last bit: a verdict must not depend on whether an anchor is in the index yet."""
    stored = {
        image_id(n): record(
            n,
            1,
            print_=made.fingerprint(n, features=seen(image), turns=alike(n).turns),
            vectors={SPACE: made.random_vector(n, 512)},
        )
        for n, image in enumerate(photos)
    }
    put(index, 1, *stored.values())
    asked = [
        query(
            50 + n,
            fingerprint=made.fingerprint(50 + n, features=seen(image), turns=alike(n + 3).turns),
            vector=made.unit(
                [*made.random_vector(n, 512)[:400], *made.random_vector(n + 1, 512)[400:]]
            ),
            space_id=SPACE,
        )
        for n, image in enumerate(ImageOps.mirror(photo.crop((9, 9, 300, 200))) for photo in photos)
    ]
    expected = [
        [
            hit
            for each, held in stored.items()
            if (hit := measure(ask, each, held.fingerprint, held.vectors[SPACE], POLICY))
        ]
        for ask in asked
    ]
    assert index.hits("default", asked) == expected
    assert all(
        len({hit.votes, hit.similarity, hit.hamming} - {None}) > 2
        for hit in [hits[n] for n, hits in enumerate(expected[:3])]
    )


def test_features_are_the_same_to_whoever_reads_late(
    opened: Open, photos: list[Image.Image]
) -> None:
    """An instance that read all at once answers as one that followed every entry."""
    follower, late = opened(), opened()
    prints = [made.fingerprint(n, features=seen(image)) for n, image in enumerate(photos)]
    asked = [
        query(
            50 + n,
            fingerprint=made.fingerprint(50 + n, features=seen(image.crop((20, 20, 300, 220)))),
        )
        for n, image in enumerate(photos)
    ]
    for n, print_ in enumerate(prints):
        put(follower, n + 1, record(n, n + 1, print_=print_))
        follower.hits("default", asked[:2])
    follower.project(
        "default", 13, [record(2, 13, original=1, print_=prints[2])], [tombstone(4, 13)], []
    )
    found = follower.hits("default", asked)
    assert [len(hits) for hits in found] == [n not in (2, 4) for n in range(12)]
    assert late.hits("default", asked) == found


def test_vectors_of_another_space_are_never_compared(index: Index) -> None:
    """A vector must name its space and have its dimensions; an unknown space holds nothing."""
    vector = made.random_vector(1)
    put(index, 1, record(1, 1, vectors={SPACE: vector}))
    asked = query(9, vector=vector, space_id="visual-ffffffff")
    assert index.hits("default", [asked]) == [[]]
    assert index.neighbours("default", "visual-ffffffff", vector, limit=3) == []
    with pytest.raises(MalformedError):
        index.hits("default", [query(9, vector=vector)])
    with pytest.raises(MalformedError):
        index.hits("default", [query(9, vector=made.random_vector(1, 9), space_id=SPACE)])
    with pytest.raises(MalformedError):
        index.neighbours("default", SPACE, made.random_vector(1, 9), limit=3)


def test_neighbours_are_the_nearest_of_a_space(index: Index) -> None:
    """Best first, cut at limit and similarity, without those named; copies have none to find."""
    model = made.Model()
    stored = [record(n, 1, vectors={SPACE: made.random_vector(n)}) for n in range(40)]
    put(index, 1, *stored, record(50, 1, original=3))
    model.project(stored, [])
    asked = made.random_vector(99)
    near = [Neighbour(*pair) for pair in model.near(SPACE, asked)]
    assert index.neighbours("default", SPACE, asked, limit=100) == near
    assert index.neighbours("default", SPACE, asked, limit=7) == near[:7]
    least = near[10].similarity
    assert index.neighbours("default", SPACE, asked, limit=100, min_similarity=least) == near[:11]
    without = [near[0].image_id, near[2].image_id]
    assert index.neighbours("default", SPACE, asked, limit=2, without=without) == [near[1], near[3]]


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
    found = index.by_content("default", [same.sha256], [same.pixels_sha256])
    assert found == [states[0], states[1], states[3]]
    assert index.by_content("default", [made.fingerprint(3).sha256], []) == [states[2]]
    assert index.by_content("default", [], []) == []


def test_copies_come_in_the_order_of_the_log(index: Index) -> None:
    """Not by the time of upload; one that is changed keeps its place."""
    put(index, 1, record(1, 1))
    put(index, 2, record(7, 2, original=1))
    put(index, 3, record(5, 3, original=1))
    put(index, 4, record(7, 4, original=1, decision="block"))
    found = [state.image_id for state in index.copies("default", image_id(1))]
    assert found == [image_id(7), image_id(5)]


def test_outcomes_are_listed_newest_first_by_status(index: Index) -> None:
    """Pages follow one another without a gap; failed are those with a problem."""
    ended = [outcome(n, 1, failed=n % 3 == 0) for n in range(10)]
    index.project("default", 1, [], [], ended)
    newest = ended[::-1]
    assert index.outcome_page("default", None, 4) == (newest[:4], True)
    before = (newest[3].accepted_at, newest[3].job_id)
    assert index.outcome_page("default", None, 6, before) == (newest[4:], False)
    failed = [each for each in newest if each.problem]
    assert index.outcome_page("default", "failed", 3) == (failed[:3], True)
    done = [each for each in newest if not each.problem]
    assert index.outcome_page("default", "done", 6) == (done, False)


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
    actual = index.stats("default")
    assert actual.total.images == 4
    assert actual.total.verdicts == {"new": 2, "near_duplicate": 2}
    assert actual.total.decisions == {"allow": 2, "review": 1, "block": 1}
    assert actual.total.spaces == {SPACE: (1, 2, 1), OTHER: (1, 0, 0)}
    assert set(actual.categories) == {"shoes", "hats"}
    assert actual.categories["shoes"].spaces == {SPACE: (1, 0, 1), OTHER: (0, 0, 0)}
    assert actual.categories["hats"].decisions == {"allow": 1}
    assert actual.watermark == 1


def test_another_instance_follows(opened: Open) -> None:
    """What one instance projects the other answers, whatever it had in memory."""
    writer, reader = opened(), opened()
    lived(writer)
    assert everything(reader) == everything(writer)
    put(writer, 4, record(3, 4, vectors={SPACE: made.random_vector(3)}), record(5, 4))
    assert everything(reader) == everything(writer)
    writer.project("default", 5, [record(5, 5, original=3)], [tombstone(1, 5)], [])
    assert everything(reader) == everything(writer)
    assert everything(opened()) == everything(writer)


def test_it_is_all_there_when_opened_again(opened: Open) -> None:
    """Closing loses nothing, and a closed one answers no more."""
    first = opened()
    lived(first)
    before = everything(first)
    first.close()
    with pytest.raises(IndexUnavailableError):
        first.watermark("default")
    again = opened()
    assert everything(again) == before
    put(again, 4, record(5, 4))
    assert again.watermark("default") == 4


def test_readers_and_the_writer_do_not_disturb_each_other(index: Index) -> None:
    """While entries go in, every thread sees whole ones: W and what it promises."""
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
            found = index.hits("default", asked)
            for each, hits in zip(asked, found, strict=True):
                exact = [h for h in hits if h.hamming == 0 and np.isclose(h.similarity or 0, 1)]
                if len(exact) != 1:
                    failures.append(f"{each.fingerprint.sha256}: {hits}")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seq in range(1, 150 if isinstance(index, LocalIndex) else 30):
        put(index, seq, record(seq, seq, vectors={SPACE: made.random_vector(seq)}))
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
