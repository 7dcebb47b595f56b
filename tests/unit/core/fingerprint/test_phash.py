from __future__ import annotations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from core.fingerprint.phash import comparable, hamming, pixels_sha256, turns
from core.types import Canonical
from tests.samples.pictures import flat, photo, tiny

Array = NDArray[np.uint8]


def turned(picture: Array, index: int) -> Array:
    """Return the picture in one of its eight turns and mirrors, in the order of `turns`."""
    start = picture[:, ::-1] if index >= 4 else picture
    return np.ascontiguousarray(np.rot90(start, index % 4))


PHOTOS = [
    np.asarray(photo(seed, *size))
    for seed, size in enumerate(
        [(512, 384), (384, 512), (512, 512), (300, 200), (40, 512), (33, 35)]
    )
]


@pytest.mark.parametrize("picture", PHOTOS)
def test_the_first_is_imagehashs(picture: Array) -> None:
    """Both agree bit for bit."""
    assert turns(picture)[0] == str(imagehash.phash(Image.fromarray(picture)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(16, 80), st.integers(16, 80), st.booleans())
def test_the_first_is_imagehashs_of_anything(
    seed: int, height: int, width: int, symmetric: bool
) -> None:
    """Noise of any size that can be compared, and pictures that are their own mirror image.

    In a picture a few pixels wide most frequencies are zero but for rounding, and have no sign.
    """
    held = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    picture = np.concatenate([held, held[:, ::-1]], axis=1) if symmetric else held
    assert turns(picture)[0] == str(imagehash.phash(Image.fromarray(picture)))


@pytest.mark.parametrize("index", range(8))
def test_each_is_the_hash_of_the_turned_picture(index: int) -> None:
    """But for rounding: a square of 32, where nothing is resized, has the very same bits."""
    found = [
        hamming(
            turns(picture)[index], str(imagehash.phash(Image.fromarray(turned(picture, index))))
        )
        for picture in PHOTOS
    ]
    assert max(found) <= 4
    square = np.asarray(photo(9, 32, 32))
    assert turns(square)[index] == str(imagehash.phash(Image.fromarray(turned(square, index))))


def test_a_turned_copy_is_found_by_one_of_the_eight() -> None:
    """The eight hashes of a picture hold the one hash of each of its turns and mirrors."""
    for index in range(8):
        stored = turns(turned(PHOTOS[0], index))[0]
        distances = [hamming(one, stored) for one in turns(PHOTOS[0])]
        assert distances.index(min(distances)) == index
        assert min(distances) <= 4


def test_the_eight_of_a_flat_picture_are_one() -> None:
    """No noise is hashed: only the constant part is above the median."""
    assert set(turns(np.asarray(flat("teal")))) == {"8000000000000000"}


def test_hamming_counts_bits() -> None:
    """From none to all, in hexadecimal digits of any length."""
    assert hamming("00", "00") == 0
    assert hamming("0f", "00") == 4
    assert hamming("f" * 64, "0" * 64) == 256


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (photo(1), True),
        (photo(1, 100, 40), True),
        (photo(1, 100, 15), False),
        (tiny(1), False),
        (flat("white"), False),
        (flat("teal"), False),
        (Image.linear_gradient("L").convert("RGB"), False),
    ],
)
def test_flat_and_tiny_pictures_are_not_comparable(picture: Image.Image, expected: bool) -> None:
    """There is nothing in them for a hash to hold on to."""
    assert comparable(np.asarray(picture)) is expected


def test_noise_of_a_camera_is_not_a_picture() -> None:
    """A covered lens: every shot has other noise, and none is like another."""
    noise = np.random.default_rng(2).normal(12, 1.5, (384, 512, 1)).clip(0, 255)
    assert not comparable(np.repeat(noise, 3, axis=2).astype(np.uint8))


def test_pixels_and_size_make_the_digest() -> None:
    """Any pixel, the preview's shape and the canonical size each change it."""
    picture = np.asarray(photo(3, 64, 48))
    other = picture.copy()
    other[5, 5, 1] ^= 1
    found = {
        pixels_sha256(Canonical(pixels, width, height, "JPEG", 1))
        for pixels, width, height in (
            (picture, 64, 48),
            (other, 64, 48),
            (picture.reshape(64, 48, 3), 64, 48),
            (picture, 128, 96),
        )
    }
    assert len(found) == 4
    again = Canonical(picture.copy(), 64, 48, "PNG", 3)
    assert pixels_sha256(again) == pixels_sha256(Canonical(picture, 64, 48, "JPEG", 1))
