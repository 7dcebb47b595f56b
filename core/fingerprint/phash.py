"""Perceptual hashes: phash of eight turns and mirrors from one DCT, and what a hash is worth."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.types import Canonical, Pixels

Turns = tuple[str, str, str, str, str, str, str, str]

Frequencies = NDArray[np.float64]

BITS = 64
_SIDE = 32
"""Pixels a side before the DCT: 8 x 4, imagehash's `hash_size` times `highfreq_factor`."""
_KEPT = 8
"""Lowest frequencies a side."""
_K = np.arange(_KEPT)
_BASIS = 2.0 * np.cos(np.pi * np.outer(_K, 2 * np.arange(_SIDE // 2) + 1) / (2 * _SIDE))
"""(8, 16): the left half of a DCT-II, scipy's scaling; the right half mirrors it."""
_ODD = (_K % 2).astype(bool)
_AMPLITUDE = 4.0 * _SIDE * _SIDE / 2
"""What a wave of one grey level gives under that scaling."""
_HOLD = 0.05
"""Grey levels of the median frequency below which a hash has nothing to hold on to. Of 719 photos,
drawings, icons and made flats, JPEG 30, half size and noise of 2 levels turned over 8 bits or more
in 95 % of those below 0.02, 60 % up to 0.08, 8 % at 0.2 to 0.3, and in none above; the flattest of
600 photos, a thin thing on white, has 0.10 (measured)."""
_LEAST = 16
"""Pixels of the short side under which a picture is tiny: one block of the comparison."""


def turns(preview: Pixels) -> Turns:
    """Make the phash (16 hex digits each) of all eight turns and mirrors of the preview.

    In order: as it is, turned by 90, 180 and 270 degrees counter-clockwise, mirrored left to right,
    and mirrored and then turned likewise. The first is imagehash.phash of the preview, bit for bit.
    A turned or mirrored picture has the same frequencies with other signs, rows for columns:
    f(N-1-i) has (-1)^k F(k). The only other difference from hashing the turned preview is how
    Pillow rounds between its two resizing passes: 0.3 bits on average, none at 180 degrees or
    mirrored (measured).
    """
    return turned(frequencies(preview))


def turned(plain: Frequencies) -> Turns:
    """Make the eight hashes of `turns` from a picture's frequencies."""
    sign = np.where(_ODD, -1.0, 1.0)
    mirrored = plain * sign
    states = []
    for start in (plain, mirrored):
        quarter = start.T * sign[:, None]
        states += [start, quarter, start * np.outer(sign, sign), start.T * sign]
    block = np.stack(states).reshape(8, BITS)
    ordered = np.sort(block, axis=1)
    median = (ordered[:, BITS // 2 - 1] + ordered[:, BITS // 2]) / 2
    packed = np.packbits(block > median[:, None], axis=1)
    a, b, c, d, e, f, g, h = (row.tobytes().hex() for row in packed)
    return a, b, c, d, e, f, g, h


def hamming(a: str, b: str) -> int:
    """Differing bits of two hashes of equal length, in hex digits."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def comparable(preview: Pixels) -> bool:
    """Whether the picture has enough in it, and is large enough, for a hash to hold on to."""
    return holds(frequencies(preview), preview)


def holds(plain: Frequencies, preview: Pixels) -> bool:
    """Answer `comparable` from a picture's frequencies."""
    waves = np.abs(plain.ravel()[1:]) / _AMPLITUDE
    return min(preview.shape[:2]) >= _LEAST and float(np.median(waves)) >= _HOLD


def pixels_sha256(canonical: Canonical) -> str:
    """Digest of the preview's pixels before encoding, with the canonical width and height."""
    height, width = canonical.preview.shape[:2]
    digest = hashlib.sha256(struct.pack(">4I", canonical.width, canonical.height, width, height))
    digest.update(canonical.preview.tobytes())
    return digest.hexdigest()


def frequencies(preview: Pixels) -> Frequencies:
    """(8, 8) lowest frequencies of the grey preview at 32 x 32, not normalised."""
    grey = Image.fromarray(preview).convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    return _dct(_dct(small).T).T


def _dct(values: Frequencies) -> Frequencies:
    """(32, n) to the 8 lowest frequencies along the first axis, (8, n); DCT-II, not normalised.

    Folded, and taken from the first row on: what is flat or symmetric gets exact zeros, not
    rounding noise that would be hashed.
    """
    base = values[:1]
    left, right = values[: _SIDE // 2] - base, values[: _SIDE // 2 - 1 : -1] - base
    out = np.empty((_KEPT, values.shape[1]))
    out[~_ODD] = _BASIS[~_ODD] @ (left + right)
    out[_ODD] = _BASIS[_ODD] @ (left - right)
    out[0] += 2.0 * _SIDE * base[0]
    return out
