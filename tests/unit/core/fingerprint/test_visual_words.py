"""Local features: what they hold, and that they vote for edits and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image, ImageDraw, ImageOps

from core.fingerprint import sketches, visual_words
from core.matching.hough_voting import ballot
from core.types import Features, Pixels
from tests.samples.pictures import EDITS, flat, photo, tiny
from tests.samples.votes import votes


def pixels(image: Image.Image) -> Pixels:
    """Return pixels as decoding does: at most 512 a side."""
    made = image.convert("RGB")
    made.thumbnail((512, 512))
    return np.asarray(made)


def described(image: Image.Image) -> Features:
    """Return the features of a picture."""
    return visual_words.extract(pixels(image))


@pytest.fixture(scope="module")
def stored() -> list[Features]:
    """Features of eight different made photos."""
    return [described(photo(seed)) for seed in range(8)]


def test_arrays_fit_together(stored: list[Features]) -> None:
    """Words, mirrored words and points count the same keypoints, inside of a 224-pixel preview."""
    one = stored[0]
    words = np.frombuffer(one.words, np.uint32).reshape(-1, visual_words.TABLES)
    mirrored = np.frombuffer(one.mirrored, np.uint32).reshape(-1, visual_words.TABLES)
    points = np.frombuffer(one.points, np.float32).reshape(-1, 4)
    assert (one.width, one.height) == (224, 168)
    assert len(words) == len(mirrored) == len(points)
    assert len(words) == pytest.approx(visual_words.KEYPOINTS, abs=5)
    assert (words >> visual_words.BITS == np.arange(visual_words.TABLES)).all()
    assert (points[:, 0] < 224).all()
    assert (points[:, 1] < 168).all()


def test_same_picture_same_features(stored: list[Features]) -> None:
    """Extraction knows no chance."""
    assert described(photo(0)) == stored[0]


def test_small_pictures_are_not_enlarged() -> None:
    """A picture smaller than the preview is described as it is."""
    made = described(photo(1, 120, 90))
    assert (made.width, made.height) == (120, 90)


@pytest.mark.parametrize(
    "image", [flat(), tiny(), flat("black", 1, 1)], ids=["flat", "tiny", "dot"]
)
def test_nothing_to_hold_on_to(image: Image.Image, stored: list[Features]) -> None:
    """A flat or tiny picture has no features, or too few for anything to agree with them."""
    made = described(image)
    assert votes(made, stored[0]).votes == 0
    assert votes(stored[0], made).votes == 0


def test_mirrored_words_are_those_of_the_mirror_image(stored: list[Features]) -> None:
    """Permuted descriptors are what the mirrored picture's own would be, for most keypoints."""
    flipped = described(ImageOps.mirror(photo(0)))
    ours = set(np.frombuffer(stored[0].mirrored, np.uint32).tolist())
    theirs = set(np.frombuffer(flipped.words, np.uint32).tolist())
    assert len(ours & theirs) > 0.4 * len(ours)


@pytest.mark.parametrize("name", [name for name in EDITS if EDITS[name].expected])
def test_edits_are_voted_for(name: str, stored: list[Features]) -> None:
    """Every named edit of a photo agrees with it, and mirrors are recognised as such."""
    found = votes(described(EDITS[name].image(photo(2), 1)), stored[2])
    assert found.votes >= 5
    assert (found.mirrored, found.negative) == ("mirror" in name, False)


@pytest.mark.parametrize("mirrored", [False, True])
def test_negatives_are_voted_for(stored: list[Features], *, mirrored: bool) -> None:
    """The negative of a crop agrees as such, also mirrored, and two negatives agree as they are."""
    negative = ImageOps.invert(EDITS["crop-70"].image(photo(2), 1))
    query = described(ImageOps.mirror(negative) if mirrored else negative)
    found = votes(query, stored[2])
    assert found.votes >= 10
    assert (found.mirrored, found.negative) == (mirrored, True)
    assert not votes(query, described(ImageOps.invert(photo(2)))).negative


def test_keypoints_are_chosen_evenly() -> None:
    """Lettering over a quarter of a picture, the strongest contrast by far, leaves the rest."""
    image = photo(3)
    draw = ImageDraw.Draw(image)
    for line in range(12):
        draw.text((4, 4 + 9 * line), "IIIIIHHHHHEEEEETTTTTLLLLL", fill="white", stroke_width=1)
    found = visual_words.detect(pixels(image)).points
    inside = (found[:, 0] < found[:, 0].max() / 2) & (found[:, 1] < found[:, 1].max() / 2)
    assert len(found) == visual_words.KEYPOINTS
    assert inside.mean() < 0.4


@pytest.mark.parametrize("mirrored", [False, True])
def test_coarse_keypoints_find_small_parts(*, mirrored: bool) -> None:
    """An enlarged part of a picture has more votes by the coarse keypoints."""
    part, ground = photo(4), photo(14, 224, 168)
    ground.paste(part.resize((48, 36), Image.Resampling.LANCZOS), (100, 90))
    query, other = described(ImageOps.mirror(part) if mirrored else part), described(ground)
    found, without = votes(query, other), votes(replace(query, coarse=None), other)
    assert found.votes >= without.votes + 3
    assert found.mirrored == mirrored


def test_pictures_of_48_pixels_have_no_coarse_keypoints() -> None:
    """Keypoints of the same pixels would be the same."""
    assert described(photo(1, 48, 36)).coarse is None
    made = described(photo(1, 49, 36)).coarse
    assert made is not None
    assert (made.width, made.height) == (48, 35)


def test_features_of_version_1_are_compared_as_before(stored: list[Features]) -> None:
    """Without negatives and neighbouring words, on either side, a crop and a mirror are found."""
    for name in ("crop-40", "mirror"):
        query = described(EDITS[name].image(photo(2), 1))
        old, older = (
            replace(one, negative=b"", uncertain=b"", coarse=None) for one in (query, stored[2])
        )
        assert len(sketches.query_sketches(old)) == 2
        assert votes(old, older).votes == votes(old, stored[2]).votes >= 5
        assert votes(query, older).mirrored == (name == "mirror")


def test_different_photos_do_not_agree(stored: list[Features]) -> None:
    """No two different photos have as many votes as make a candidate."""
    counts = [
        votes(one, other)[0]
        for n, one in enumerate(stored)
        for m, other in enumerate(stored)
        if n != m
    ]
    assert max(counts) < 5


def test_votes_are_those_of_the_ballot(stored: list[Features]) -> None:
    """One pair by itself counts as it does among others."""
    query = described(EDITS["crop-40"].image(photo(3), 1))
    ways = sketches.query_sketches(query)
    assert [ballot(ways, one) for one in sketches.sketches(stored)] == [
        votes(query, one) for one in stored
    ]
