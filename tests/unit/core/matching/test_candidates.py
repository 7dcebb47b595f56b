"""Candidates: one pair measured, many hits made one list, and the two ways agreeing."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.fingerprint.fingerprint import fingerprint
from core.matching.candidates import agrees, fuse, hopeful, measure, worth
from core.matching.policy import Policy
from core.types import Candidates, Fingerprint, Hit, Limits, Query, Vector
from tests.samples.pictures import EDITS, flat, jpeg, photo

POLICY = Policy()


@functools.cache
def seen(seed: int, edit: str | None = None) -> Fingerprint:
    """Return the fingerprint of a made photo, edited or not; -1 is a flat picture."""
    if seed < 0:
        data = jpeg(flat())
    elif edit is None:
        data = jpeg(photo(seed, 448, 336))
    else:
        data = EDITS[edit].apply(photo(seed, 448, 336), 1)
    return fingerprint(data, Limits())[1]


def asking(made: Fingerprint, vector: Vector | None = None) -> Query:
    """Return a query of that picture."""
    return Query(image_id="q", fingerprint=made, vector=vector)


def test_reencoded_photo_is_near_by_hash_and_features() -> None:
    """JPEG 30 leaves the hash close and the features in place."""
    hit = measure(asking(seen(0, "jpeg-30")), "a", seen(0), None, POLICY)
    assert hit is not None
    assert hit.hamming is not None
    assert (hit.hamming <= 4, hit.turn, hit.mirrored, hit.similarity) == (True, 0, False, None)
    assert hit.votes is not None
    assert hit.votes >= POLICY.feature_votes


def test_mirror_is_near_by_another_turn() -> None:
    """The mirrored photo is close by its fifth hash, and its votes are of the mirrored question."""
    hit = measure(asking(seen(0, "mirror")), "a", seen(0), None, POLICY)
    assert hit is not None
    assert (hit.turn, hit.mirrored) == (4, True)


def test_crop_is_near_by_features_alone() -> None:
    """A crop to 40 % is beyond the reach of the hash."""
    hit = measure(asking(seen(0, "crop-40")), "a", seen(0), None, POLICY)
    assert hit is not None
    assert (hit.hamming, hit.turn, hit.similarity) == (None, None, None)
    assert hit.votes is not None
    assert hit.votes >= POLICY.feature_votes


def test_different_photos_are_not_near() -> None:
    """No source finds another photo."""
    assert measure(asking(seen(0)), "a", seen(1), None, POLICY) is None


def test_similar_vectors_are_near() -> None:
    """A cosine at the floor makes a candidate by itself, one below it does not."""
    one = np.array([1, 0], np.float32)
    at = np.array([0.6, 0.8], np.float32)
    below = np.array([0.28, 0.96], np.float32)
    query = asking(seen(0), one)
    assert measure(query, "a", seen(1), at, POLICY) == Hit(
        image_id="a", similarity=float(np.float32(0.6))
    )
    assert measure(query, "a", seen(1), below, POLICY) is None


def test_flat_pictures_are_not_near_by_their_hash() -> None:
    """Two flat pictures have hash distance 0 and are candidates by their vectors alone."""
    vector = np.array([1, 0], np.float32)
    assert measure(asking(seen(-1)), "a", seen(-1), None, POLICY) is None
    for made in (seen(-1), seen(0)):
        by_vector = measure(asking(made, vector), "a", seen(-1), vector, POLICY)
        assert by_vector == Hit(image_id="a", similarity=1.0)


def test_features_of_an_incomparable_picture_still_vote() -> None:
    """A hash that holds nothing, on either side, leaves the features."""
    query = replace(seen(0, "crop-40"), comparable=False)
    hit = measure(asking(query), "a", replace(seen(0), comparable=False), None, POLICY)
    assert hit == replace(measure(asking(seen(0, "crop-40")), "a", seen(0), None, POLICY))


def test_candidates_by_hash_or_vector_alone_need_keypoints_that_agree() -> None:
    """Another photo has none, an edited one has; of few keypoints nothing is expected."""
    by_hash = Hit(image_id="a", hamming=12, turn=0)
    assert not hopeful(seen(0), seen(1), by_hash, POLICY)
    assert not hopeful(seen(0), seen(1), Hit(image_id="a", similarity=0.95), POLICY)
    assert hopeful(seen(0, "jpeg-10"), seen(0), by_hash, POLICY)
    assert hopeful(seen(0), seen(-1), by_hash, POLICY)
    assert hopeful(seen(0), seen(1), replace(by_hash, votes=3), POLICY)


def test_hash_of_a_squeezed_picture_needs_no_keypoints_that_agree() -> None:
    """A stretch of more than two leaves no keypoint, and the hash as it was."""
    made = photo(0, 448, 336)
    story = fingerprint(jpeg(made.resize((252, 448))), Limits())[1]
    hit = measure(asking(story), "a", seen(0), None, POLICY)
    assert hit is not None
    assert hit.votes is None
    assert hopeful(story, seen(0), hit, POLICY)
    assert not hopeful(story, seen(0), Hit(image_id="a", similarity=0.95), POLICY)


def test_agreement_of_sources_ranks_first() -> None:
    """A picture that two sources find stands before the best of one; ids break ties."""
    hits = [
        Hit(image_id="hash", hamming=0, turn=0),
        Hit(image_id="both", hamming=5, turn=0, votes=9),
        Hit(image_id="c", votes=20),
        Hit(image_id="b", similarity=0.9),
    ]
    assert [hit.image_id for hit in fuse(hits, POLICY).hits] == ["both", "b", "c", "hash"]


def test_sources_are_cut_to_their_top() -> None:
    """Below a source's top its signal counts for nothing, and a hit of that source alone goes."""
    policy = Policy(visual_top=2, feature_top=1)
    hits = [
        Hit(image_id="a", similarity=0.9, votes=7),
        Hit(image_id="b", similarity=0.8, votes=6),
        Hit(image_id="c", similarity=0.7),
    ]
    assert fuse(hits, policy) == Candidates((hits[0], Hit(image_id="b", similarity=0.8)))


def test_what_a_source_would_not_find_is_dropped() -> None:
    """A hash beyond the radius, a cosine below the floor, too few votes: measured, not found."""
    bound = Hit(image_id="a", hamming=13, turn=0, similarity=0.4, votes=2, mirrored=True)
    assert fuse([bound], POLICY) == Candidates(())
    assert fuse([replace(bound, hamming=12)], POLICY) == Candidates(
        (Hit(image_id="a", hamming=12, turn=0),)
    )


def test_the_cap_is_told() -> None:
    """Beyond 32 the hits are cut, and the result is marked as truncated."""
    hits = [Hit(image_id=f"{n:03}", hamming=n % 3, turn=0) for n in range(40)]
    fused = fuse(hits, POLICY)
    assert (len(fused.hits), fused.truncated) == (32, True)
    assert fuse(hits[:32], POLICY).truncated is False


_hits = st.lists(
    st.builds(
        Hit,
        image_id=st.sampled_from([f"{n:02}" for n in range(30)]),
        hamming=st.none() | st.integers(0, 14),
        similarity=st.none() | st.sampled_from([0.4, 0.5, 0.7, 0.9]),
        votes=st.none() | st.integers(1, 12),
    ),
    max_size=60,
    unique_by=lambda hit: hit.image_id,
)


@given(_hits, st.randoms(use_true_random=False))
def test_an_overlay_is_what_one_index_would_give(hits: list[Hit], draw: object) -> None:
    """The list is the same for any split and order of hits, and an index cut to its tops."""
    policy = Policy(candidates=8, visual_top=5, feature_top=4)
    whole = fuse(hits, policy)
    mixed = sorted(hits, key=lambda _: draw.random())  # type: ignore[attr-defined]
    half = len(mixed) // 2
    index, overlay = mixed[:half], mixed[half:]
    roomy = Policy(candidates=10_000, visual_top=5, feature_top=4)
    assert fuse([*fuse(index, roomy).hits, *overlay], policy) == whole
    parts = [
        part
        for hit in mixed
        for part in (
            Hit(image_id=hit.image_id, hamming=hit.hamming, turn=hit.turn),
            Hit(image_id=hit.image_id, similarity=hit.similarity),
            Hit(image_id=hit.image_id, votes=hit.votes, mirrored=hit.mirrored),
        )
    ]
    assert fuse(parts, policy) == whole


@pytest.mark.parametrize(
    ("hit", "expected"),
    [
        (Hit(image_id="a", hamming=12, turn=0), (True, True)),
        (Hit(image_id="a", votes=3), (True, True)),
        (Hit(image_id="a", votes=2), (False, False)),
        (Hit(image_id="a", similarity=0.95), (True, False)),
        (Hit(image_id="a", similarity=0.8), (False, False)),
        (Hit(image_id="a"), (False, False)),
    ],
)
def test_what_is_worth_laying_over(hit: Hit, expected: tuple[bool, bool]) -> None:
    """Hash, votes or a very high similarity; the last alone does not speak against a picture."""
    assert (worth([hit], POLICY) == {"a"}, agrees(hit, POLICY)) == expected


def test_a_model_that_finds_everything_alike_has_to_say_more() -> None:
    """Its own threshold of similar counts where that is higher than the policy's."""
    hit = Hit(image_id="a", similarity=0.95)
    assert worth([hit], POLICY, 0.5) == {"a"}
    assert worth([hit], POLICY, 0.96) == set()
    assert worth([Hit(image_id="a", similarity=0.95, votes=3)], POLICY, 0.96) == {"a"}


def test_of_many_that_look_alike_the_nearest_are_laid_over() -> None:
    """Beside all that hash or features speak for, however many these are."""
    alike = [Hit(image_id=f"s{n}", similarity=0.9 + n / 1000) for n in range(50)]
    agreeing = [Hit(image_id=f"v{n}", votes=3) for n in range(9)]
    nearest = {hit.image_id for hit in alike[-POLICY.alike_top :]}
    assert worth([*alike, *agreeing], POLICY) == nearest | {hit.image_id for hit in agreeing}
