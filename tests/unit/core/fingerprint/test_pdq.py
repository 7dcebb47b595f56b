from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from core.fingerprint.pdq import pdq
from core.fingerprint.phash import hamming
from tests.samples.pictures import photo

Array = NDArray[np.uint8]


def waves(height: int, width: int, twist: int) -> Array:
    """Return (height, width, 3) made of whole numbers alone: the same on every machine."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    held = np.stack(
        [
            (x * x // (9 + twist) + 3 * y) % 256,
            (y * y // 7 + x * twist) % 256,
            (x * y // (11 + twist)) % 256,
        ],
        -1,
    )
    return held.astype(np.uint8)


VECTORS: dict[tuple[int, int, int], tuple[str, int]] = {
    (384, 512, 2): ("bfaabfaabfaa2fbebfae7f2a7f2a1d2000007f2a0f203f280f207fa80d007700", 100),
    (512, 341, 5): ("e41ee7ffe01e67ffeea0e000e5ffa010e7fee000ebfee800ebfae000e5d0e000", 100),
    (64, 64, 1): ("a4a15b9fb8641701caea3934d4406b3fd8ca33154eef9950b6e5549bad37a8ac", 100),
    (5, 5, 3): ("94a56b5a6b5a94a56b5a94a56b4a6b5a94a56b5a94a56b4a6b5a94a56b5a94a5", 0),
    (37, 512, 4): ("9095f5b5292ddb6f26cb4cdb98aa7356c6b55d6d20c9559b8a6355c7aa0e2028", 100),
    (130, 129, 7): ("153f9d6ab7d5afd53f80602f612fc46a48cac8d66bd443c1a99f4b385680cb94", 100),
    (512, 512, 0): ("fffcffffdffeffffe0c00000fff44000fef64000fffe4100fdb000006db00000", 100),
}
"""From pdqhash 0.2.8 (the C++ reference): height, width and twist of `waves` to hash, quality."""


@pytest.mark.parametrize("shape", VECTORS)
def test_hashes_are_the_references(shape: tuple[int, int, int]) -> None:
    """Hash and quality as the C++ reference computes them, at any size."""
    assert pdq(waves(*shape)) == VECTORS[shape]


def test_hashes_are_the_references_bit_for_bit() -> None:
    """Photo-like, noisy, flat and odd-sized pictures, beside the reference itself."""
    reference = pytest.importorskip(
        "pdqhash", reason="pdqhash is not installed: compared with fixed vectors only"
    )
    draw = np.random.default_rng(5)
    pictures = [np.asarray(photo(seed, 512, 384)) for seed in range(4)]
    pictures += [
        draw.integers(0, 256, (*size, 3), np.uint8) for size in draw.integers(5, 513, (40, 2))
    ]
    pictures += [np.full((64, 64, 3), 90, np.uint8), np.zeros((4, 512, 3), np.uint8)]
    for picture in pictures:
        bits, quality = reference.compute(picture.copy())
        assert pdq(picture) == (np.packbits(bits).tobytes().hex(), quality)


def test_what_is_too_small_has_none() -> None:
    """Under five pixels a side: no hash, no quality."""
    assert pdq(np.full((4, 300, 3), 9, np.uint8)) == ("0" * 64, 0)


def test_flat_pictures_have_no_quality() -> None:
    """The quality separates them from pictures."""
    assert pdq(np.full((300, 400, 3), 200, np.uint8))[1] == 0


def test_half_the_size_hashes_alike() -> None:
    """They are as close as exchanges of hashes require: within 31 bits."""
    image = photo(1, 512, 384)
    half = np.asarray(image.resize((256, 192)))
    assert hamming(pdq(np.asarray(image))[0], pdq(half)[0]) <= 31
