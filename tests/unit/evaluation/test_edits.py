"""Made pictures and named edits: the same from the same seed, and what their names say."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from core.fingerprint import phash
from tests.samples.pictures import EDITS, TEMPLATES, Edit, photo


@pytest.fixture(scope="module")
def made() -> Image.Image:
    """Return a photo of 320 x 240 pixels."""
    return photo(3, 320, 240)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edits_know_no_chance(edit: Edit, made: Image.Image) -> None:
    """The same picture and seed give the same JPEG, and the picture itself stays as it was."""
    before = made.tobytes()
    data = edit.apply(made, "a.jpg")
    assert data == edit.apply(made, "a.jpg")
    assert made.tobytes() == before
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.mode) == ("JPEG", "RGB")


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_edits_take_any_picture(edit: Edit, size: tuple[int, int]) -> None:
    """No picture is too small or too narrow to be edited."""
    assert edit.apply(photo(1, *size))[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("half", (160, 120)),
        ("quarter", (80, 60)),
        ("quarter-turn", (240, 320)),
        ("turn-10", (320, 240)),
        ("crop-90", (304, 228)),
        ("crop-70", (268, 201)),
        ("crop-40", (202, 152)),
        ("crop-25", (160, 120)),
        ("screenshot", (480, 408)),
        ("border", (400, 320)),
        ("stretch", (416, 240)),
        ("mirror-crop-70", (268, 201)),
        ("jpeg-10-half-crop-90", (152, 114)),
        ("collage", (640, 240)),
    ],
)
def test_edits_do_what_they_say(name: str, size: tuple[int, int], made: Image.Image) -> None:
    """Crops keep their share of the area, frames and stretches have their sizes."""
    assert EDITS[name].image(made).size == size


def test_seeds_place_crops(made: Image.Image) -> None:
    """Two seeds cut at two places."""
    crops = [EDITS["crop-25"].image(made, seed).tobytes() for seed in range(4)]
    assert len(set(crops)) == 4


def test_caption_covers_the_lowest_fifth(made: Image.Image) -> None:
    """Above the bar nothing changes, in it nothing is left."""
    before, after = np.asarray(made), np.asarray(EDITS["caption"].image(made))
    assert (before[:192] == after[:192]).all()
    assert np.median(after[192:]) == 0
    assert after[192:].max() > 200


def test_photos_are_their_seed() -> None:
    """The same seed is the same picture."""
    assert photo(5, 320, 240).tobytes() == photo(5, 320, 240).tobytes()


def test_photos_hash_like_photos() -> None:
    """Hashes hold on to them, and no two lie within 12 bits of each other in any turn."""
    hashes = [
        phash.turns(np.asarray(photo(seed, 320, 240).resize((160, 120)))) for seed in range(16)
    ]
    apart = [
        min(phash.hamming(turn, other[0]) for turn in one)
        for one, other in itertools.permutations(hashes, 2)
    ]
    assert min(apart) > 12
    assert phash.comparable(np.asarray(photo(0, 320, 240)))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_templates_are_different_and_alike(kind: str) -> None:
    """One lay-out, other contents: most pixels of two are the same, and not all."""
    one, other = (np.asarray(TEMPLATES[kind](seed)) for seed in (1, 2))
    assert one.shape == other.shape
    same = (one == other).all(axis=2).mean()
    assert 0.5 < same < 1.0
    assert (np.asarray(TEMPLATES[kind](1)) == one).all()
