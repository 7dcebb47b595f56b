"""Every index finds what is near a picture: candidates for a verdict, neighbours for a search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from core.errors import MalformedError
from core.fingerprint.visual_words import extract
from core.index_port import Index, Neighbour
from core.matching.candidates import measure
from core.matching.policy import Policy
from core.types import Features, Fingerprint, Hit, Remade
from evaluation.synthetic_photos import photo
from tests.doubles import records as made
from tests.doubles.records import SPACE, image_id, put, query, record, tombstone

Opens = Callable[[], Index]


def test_a_copy_leaves_the_candidates_and_returns(index: Index) -> None:
    """An anchor that becomes a copy takes its hash and vector along; made an anchor, it is back."""
    vectors = {SPACE: made.random_vector(2)}
    asked = query(9, fingerprint=made.fingerprint(2), vector=vectors[SPACE], space_id=SPACE)
    hit = Hit(image_id=image_id(2), hamming=0, turn=0, similarity=pytest.approx(1.0, abs=1e-6))  # type: ignore[arg-type]
    put(index, 1, record(1, 1), record(2, 1, vectors=vectors))
    assert index.find_candidates("default", [asked]) == [[hit]]
    put(index, 2, record(2, 2, original=1))
    assert index.find_candidates("default", [asked]) == [[]]
    assert index.find_neighbours("default", SPACE, vectors[SPACE], limit=5) == []
    assert index.read_vectors("default", SPACE, [image_id(2)])[0] is None
    put(index, 3, record(2, 3, vectors=vectors))
    assert index.find_candidates("default", [asked]) == [[hit]]
    assert [
        n.image_id for n in index.find_neighbours("default", SPACE, vectors[SPACE], limit=5)
    ] == [image_id(2)]


def test_a_record_fingerprinted_again_is_found_as_it_is_now(index: Index) -> None:
    """By its new hash, vector and digest of pixels, not by the old ones; bytes stay the same."""
    vectors = {SPACE: made.random_vector(2)}, {SPACE: made.random_vector(5)}
    old = made.fingerprint(2)
    new = made.fingerprint(5, sha256=old.sha256, features_version=2, pixels_version=2)
    put(index, 1, record(1, 1), record(2, 1, print_=old, vectors=vectors[0]))
    asked = [
        query(9, fingerprint=made.fingerprint(n), vector=held[SPACE], space_id=SPACE)
        for n, held in ((2, vectors[0]), (5, vectors[1]))
    ]
    hit = Hit(image_id=image_id(2), hamming=0, turn=0, similarity=pytest.approx(1.0, abs=1e-6))  # type: ignore[arg-type]
    assert index.find_candidates("default", asked) == [[hit], []]
    remade = Remade("job", "job")
    put(index, 2, record(2, 2, print_=new, vectors=vectors[1], remade=remade))
    assert index.find_candidates("default", asked) == [[], [hit]]
    (near,) = index.find_neighbours("default", SPACE, vectors[1][SPACE], limit=1)
    assert near.similarity == pytest.approx(1.0, abs=1e-6)
    found = [index.find_states("default", pixels=[one.pixels_sha256]) for one in (old, new)]
    assert [[state.remade for state in states] for states in found] == [[], [remade]]
    assert index.find_states("default", sha256=[old.sha256]) == found[1]
    (held,) = index.read_records("default", [image_id(2)])
    assert held is not None
    assert held.fingerprint == new


def test_a_record_that_is_no_anchor_any_more_keeps_its_vector(index: Index) -> None:
    """It is still a neighbour to a search, but no candidate for an upload."""
    vectors = {SPACE: made.random_vector(2)}
    asked = query(9, vector=vectors[SPACE], space_id=SPACE)
    put(index, 1, record(2, 1, vectors=vectors))
    assert [hit.image_id for hit in index.find_candidates("default", [asked])[0]] == [image_id(2)]
    put(index, 2, record(2, 2, vectors=vectors, anchor=False))
    assert index.find_candidates("default", [asked]) == [[]]
    near = index.find_neighbours("default", SPACE, vectors[SPACE], limit=5)
    assert [each.image_id for each in near] == [image_id(2)]


def test_closed_anchors_are_left_out_and_purged_ones_are_not(index: Index) -> None:
    """A picture being deleted takes no new copies; one that was purged still catches its own."""
    put(index, 1, record(1, 1, closed=True), record(2, 1, content="purged"))
    found = index.find_candidates(
        "default", [query(9, fingerprint=made.fingerprint(n)) for n in (1, 2)]
    )
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
    assert index.find_candidates("default", [asked]) == [every]
    without = [hit.image_id for hit in every[::2]]
    expected = model.hits(asked, 12, 5, 0.25, without)
    assert index.find_candidates("default", [asked], without=[*without, image_id(500)]) == [
        expected
    ]
    assert [hit.image_id for hit in expected if hit.similarity] != [
        hit.image_id for hit in every if hit.similarity
    ]


def alike(n: int) -> Fingerprint:
    """Return one of many fingerprints that lie around the radius of one another."""
    return made.fingerprint(n, turns=(made.flipped(made.turns(0)[0], *range(n % 17)),) * 8)


def test_hash_hits_name_the_turn_and_the_distance(index: Index) -> None:
    """Up to the policy's radius, over all eight turns, the first of the closest; not when flat."""
    stored = made.fingerprint(1)
    put(index, 1, record(1, 1), record(2, 1, print_=made.fingerprint(2, comparable=False)))

    def asking(turn: int, bits: int) -> list[Hit]:
        turns = list(made.turns(77))
        turns[turn] = made.flipped(stored.phash, *range(bits))
        asked = query(9, fingerprint=made.fingerprint(9, turns=tuple(turns)))
        return index.find_candidates("default", [asked])[0]

    assert asking(5, 12) == [Hit(image_id=image_id(1), hamming=12, turn=5)]
    assert asking(5, 13) == []
    assert asking(0, 0) == [Hit(image_id=image_id(1), hamming=0, turn=0)]
    flat = query(9, fingerprint=made.fingerprint(1, comparable=False))
    assert index.find_candidates("default", [flat, query(9, fingerprint=made.fingerprint(2))]) == [
        [],
        [],
    ]
    assert index.find_candidates("default", [query(1)]) == [[]]  # not its own candidate


def test_visual_hits_are_the_nearest_above_the_floor(index: Index) -> None:
    """The policy's top, not below its floor, anchors alone, each batch as each query alone."""
    vectors = [{SPACE: made.random_vector(n)} for n in range(60)]
    for n in range(60):
        put(index, n + 1, record(n, n + 1, vectors=vectors[n], anchor=n % 3 > 0))
    model = made.Model()
    model.project([record(n, 1, vectors=vectors[n], anchor=n % 3 > 0) for n in range(60)], [])
    asked = [query(n, vector=made.random_vector(n), space_id=SPACE) for n in range(50, 70)]
    expected = [model.hits(each, 12, 5, 0.25) for each in asked]
    assert index.find_candidates("default", asked) == expected
    assert [index.find_candidates("default", [each])[0] for each in asked] == expected


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Pictures with enough to hold on to."""
    return [photo(seed, 320, 240) for seed in range(12)]


def seen(image: Image.Image) -> Features:
    """Return the local features of a picture."""
    return extract(np.asarray(image))


def test_features_find_crops_and_mirrors(
    index: Index, policy: Policy, photos: list[Image.Image]
) -> None:
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
        hits = index.find_candidates("default", [plain, other], **options)
        assert all(hit.hamming is None and hit.similarity is None for each in hits for hit in each)
        assert all((hit.votes or 0) >= policy.feature_votes for each in hits for hit in each)
        return [[(hit.image_id, hit.mirrored) for hit in each] for each in hits]

    third, seventh = (image_id(3), False), (image_id(7), True)
    assert found() == [[third], [seventh]]
    assert found(without=[image_id(3)]) == [[], [seventh]]
    itself = query(3, fingerprint=stored[3].fingerprint)
    assert index.find_candidates("default", [itself]) == [[]]
    index.project_entry(
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


def test_hits_are_what_measuring_every_pair_gives(
    index: Index, policy: Policy, photos: list[Image.Image]
) -> None:
    """To the last bit: a verdict must not depend on whether an anchor is in the index yet."""
    stored = {
        image_id(n): record(
            n,
            1,
            print_=made.fingerprint(
                n, features=seen(image), turns=alike(n).turns, comparable=n != 5
            ),
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
    negative = seen(ImageOps.invert(photos[4]))
    asked.append(query(70, fingerprint=made.fingerprint(5, features=negative, comparable=False)))
    expected = [
        [
            hit
            for each, held in stored.items()
            if (hit := measure(ask, each, held.fingerprint, held.vectors[SPACE], policy))
        ]
        for ask in asked
    ]
    assert index.find_candidates("default", asked) == expected
    assert [(hit.image_id, hit.negative) for hit in expected[-1]] == [(image_id(4), True)]
    assert all(
        len({hit.votes, hit.similarity, hit.hamming} - {None}) > 2
        for hit in [hits[n] for n, hits in enumerate(expected[:3])]
    )


def test_features_are_the_same_to_whoever_reads_late(
    opens: Opens, photos: list[Image.Image]
) -> None:
    """An instance that read all at once answers as one that followed every entry."""
    follower, late = opens(), opens()
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
        follower.find_candidates("default", asked[:2])
    follower.project_entry(
        "default", 13, [record(2, 13, original=1, print_=prints[2])], [tombstone(4, 13)], []
    )
    found = follower.find_candidates("default", asked)
    assert [len(hits) for hits in found] == [n not in (2, 4) for n in range(12)]
    assert late.find_candidates("default", asked) == found


def test_vectors_of_another_space_are_never_compared(index: Index) -> None:
    """A vector must name its space and have its dimensions; an unknown space holds nothing."""
    vector = made.random_vector(1)
    put(index, 1, record(1, 1, vectors={SPACE: vector}))
    asked = query(9, vector=vector, space_id="visual-ffffffff")
    assert index.find_candidates("default", [asked]) == [[]]
    assert index.find_neighbours("default", "visual-ffffffff", vector, limit=3) == []
    with pytest.raises(MalformedError):
        index.find_candidates("default", [query(9, vector=vector)])
    with pytest.raises(MalformedError):
        index.find_candidates(
            "default", [query(9, vector=made.random_vector(1, 9), space_id=SPACE)]
        )
    with pytest.raises(MalformedError):
        index.find_neighbours("default", SPACE, made.random_vector(1, 9), limit=3)


def test_neighbours_are_the_nearest_of_a_space(index: Index) -> None:
    """Best first, cut at limit and similarity, without those named; copies have none to find."""
    model = made.Model()
    stored = [record(n, 1, vectors={SPACE: made.random_vector(n)}) for n in range(40)]
    put(index, 1, *stored, record(50, 1, original=3))
    model.project(stored, [])
    asked = made.random_vector(99)
    near = [Neighbour(*pair) for pair in model.near(SPACE, asked)]
    assert index.find_neighbours("default", SPACE, asked, limit=100) == near
    assert index.find_neighbours("default", SPACE, asked, limit=7) == near[:7]
    least = near[10].similarity
    assert (
        index.find_neighbours("default", SPACE, asked, limit=100, min_similarity=least) == near[:11]
    )
    without = [near[0].image_id, near[2].image_id]
    assert index.find_neighbours("default", SPACE, asked, limit=2, without=without) == [
        near[1],
        near[3],
    ]
