"""Visual words of local features, which find crops, frames and small turns without a model.

Up to 255 SIFT keypoints of a 224-pixel grey preview (Lowe 2004), chosen evenly over the picture, as
RootSIFT (Arandjelovic and Zisserman 2012) less a fixed mean; signs of fixed random projections
(Charikar 2002) make two words of 24 bits per keypoint. Nothing is trained. A mirrored picture and a
negative have the same keypoints with permuted descriptors, so all four are made at once. A query is
looked up by the neighbouring words as well (multi-probe hashing, Lv et al. 2007), and by keypoints
of 48 pixels: those that the stored picture of a small crop has at a quarter of the crop's scale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from core.types import Features, Pixels

Grey = NDArray[np.uint8]

FEATURES_VERSION = 3
"""Version of the hashes and features of a fingerprint; a change of any of them raises it."""
SIDE = 224
"""Long side of the preview in pixels: query and index have to use the same (a 512-pixel query
against a 224-pixel index lost up to 9 points of recall, measured)."""
COARSE_SIDE = 48
"""Long side of the smaller preview of a query in pixels. Measured among 1,000 pictures: 41 -> 52 of
80 crops to 5 % have their votes, 53 at 64 pixels; false candidates of 150 new photos 2 -> 2, at 64
pixels 4; 1.3 ms of CPU, and 0.3 more for the search."""
KEYPOINTS = 255
"""Keypoints kept, whose numbers fit in a byte."""
_COARSE_KEYPOINTS = 64
"""Keypoints kept of the smaller preview; a photo has about 20 (measured)."""
_POOL = 800
"""Strongest keypoints from which those are chosen."""
_CELLS = 8
"""Cells across and down, each of which gives its two strongest keypoints before any gives more:
lettering and sharp borders cannot take all places (measured: solarised photos found 48 -> 82 %,
cells of a 2 x 2 collage 85 -> 98 %)."""
_CONTRAST = 0.01
"""A quarter of Lowe's threshold: only pictures with few keypoints get more of them, and a crop to a
quarter is found in 95 instead of 93 of 100 photos (measured)."""
TABLES = 2
BITS = 24
"""Bits of a word; the table's number is above them, so that words of two tables never collide."""

_MEAN = np.frombuffer(
    bytes.fromhex(
        "3f413d352c26242b805d3b2b24232b4a804b2b23232a3a5d402c25252a333c43"
        "51423e3d39332e34af683e352e2e335faf60332d2d343e6954352e31353b3e44"
        "51342e33393d3e42af5f332e2e353e68af693e342d2d336054443e3b35312e35"
        "3f2b24262c353d41804a2b23242b3b5d805d3a2a23232b4b40433c332a25252c"
    ),
    np.uint8,
).astype(np.float32) / np.float32(1000)
"""Mean RootSIFT descriptor in thousandths, from 8,000 keypoints of 40 pictures of
`evaluation.synthetic_photos` (seeds 1000 to 1039), made symmetric under the mirror."""
MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].reshape(128)
"""Index of each of the 128 numbers of a descriptor in that of the mirrored picture."""


@cache
def _projections() -> NDArray[np.float32]:
    """Return (128, TABLES * BITS) of +1 and -1: bits of SHAKE-128, equal on every machine."""
    count = 128 * TABLES * BITS
    drawn = hashlib.shake_128(b"seenit words 1").digest(count // 8)
    signs = np.unpackbits(np.frombuffer(drawn, np.uint8)).astype(np.float32)
    return (2 * signs - 1).reshape(128, TABLES * BITS)


NEGATIVE = np.arange(128).reshape(4, 4, 8)[::-1, ::-1].reshape(128)
"""The same for the negative: every gradient is reversed, so the keypoint is turned by 180 degrees.
"""
_NEGATIVES = 128
"""Keypoints of a negative that are looked up, the first chosen."""
PROBES = 2
"""Least certain bits of a word, each flipped in turn to look up a neighbouring word."""


class Keypoints(NamedTuple):
    """Descriptors and positions of the keypoints of a preview."""

    descriptors: NDArray[np.float32]
    """Raw SIFT descriptors, (n, 128)."""
    points: NDArray[np.float32]
    """(n, 4): x and y in pixels, size in pixels, angle in degrees."""
    width: int
    height: int


def extract(preview: Pixels) -> Features:
    """Compute the features of an upright 8-bit RGB preview, (height, width, 3), in about 14 ms.

    The preview is scaled to 224 and to 48 pixels on its long side by area, never enlarged. A
    picture without texture has no features. Safe to call from many threads.
    """
    grey = _reduced(_grey(preview), SIDE)
    made = described(_detected(grey, KEYPOINTS))
    if max(grey.shape) <= COARSE_SIDE:
        return made
    found = _detected(_reduced(grey, COARSE_SIDE), _COARSE_KEYPOINTS)
    return replace(made, coarse=described(found, negatives=0))


def described(found: Keypoints, negatives: int = _NEGATIVES) -> Features:
    """Compute the features of a preview's keypoints: words as it is, mirrored, and as negatives."""
    few = found.descriptors[:negatives]
    ways = (
        found.descriptors,
        found.descriptors[:, MIRROR],
        few[:, NEGATIVE],
        few[:, MIRROR[NEGATIVE]],
    )
    signs = [_projected(rooted(one)) for one in ways]
    return Features(
        words=_words(signs[0]).tobytes(),
        mirrored=_words(signs[1]).tobytes(),
        negative=b"".join(_words(one).tobytes() for one in signs[2:]),
        uncertain=b"".join(_uncertain(one).tobytes() for one in signs),
        points=found.points.tobytes(),
        width=found.width,
        height=found.height,
    )


def detect(preview: Pixels) -> Keypoints:
    """Find the keypoints of a preview at 224 pixels, for `described`."""
    return _detected(_reduced(_grey(preview), SIDE), KEYPOINTS)


def _grey(preview: Pixels) -> Grey:
    return np.asarray(cv2.cvtColor(preview, cv2.COLOR_RGB2GRAY), np.uint8)


def _reduced(grey: Grey, side: int) -> Grey:
    """Scale a grey picture to `side` pixels on its long side; it is never enlarged."""
    height, width = grey.shape
    scale = side / max(height, width)
    if scale >= 1:
        return grey
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detected(grey: Grey, most: int) -> Keypoints:
    """Find and describe at most `most` keypoints of a grey picture."""
    sift = cv2.SIFT_create(_POOL, contrastThreshold=_CONTRAST)  # type: ignore[attr-defined]
    found = _spread(sift.detect(grey, None), grey.shape[1], grey.shape[0])[:most]
    points = np.array(
        [(*point.pt, point.size, point.angle) for point in found], np.float32
    ).reshape(-1, 4)
    # Described afterwards: of 800 descriptors two thirds would be made for nothing.
    descriptors = sift.compute(grey, found)[1] if found else np.zeros((0, 128), np.float32)
    return Keypoints(descriptors, points, grey.shape[1], grey.shape[0])


def _spread(found: Sequence[cv2.KeyPoint], width: int, height: int) -> list[cv2.KeyPoint]:
    """Choose keypoints cell by cell, the two strongest of each first, then the next two."""
    places = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
    strength = np.array([point.response for point in found], np.float32)
    cells = np.minimum((places * _CELLS / (width, height)).astype(np.int64), _CELLS - 1)
    cell = cells[:, 1] * _CELLS + cells[:, 0]
    order = np.lexsort((-strength, cell))
    rank = np.zeros(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    chosen = np.lexsort((-strength, rank // 2))[:KEYPOINTS]
    return [found[place] for place in chosen.tolist()]


def rooted(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute (n, 128) RootSIFT descriptors less their fixed mean."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(np.sqrt(descriptors / total) - _MEAN)


def _projected(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project (n, 128) rooted descriptors to (n, TABLES, BITS) numbers, whose signs are bits."""
    return (centred @ _projections()).reshape(-1, TABLES, BITS)


def _words(projected: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Compute (n, TABLES) words."""
    values = (projected > 0) @ (1 << np.arange(BITS, dtype=np.uint32))
    return np.asarray(values + (np.arange(TABLES, dtype=np.uint32) << BITS), np.uint32)


def _uncertain(projected: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the (n, TABLES, PROBES) bits of each word that are nearest to the other sign."""
    # One minimum after another: to sort all bits takes four times as long.
    apart = np.abs(projected)
    found = np.empty((*apart.shape[:2], PROBES), np.uint8)
    for probe in range(PROBES):
        nearest = apart.argmin(axis=2, keepdims=True)
        found[:, :, probe] = nearest[:, :, 0]
        np.put_along_axis(apart, nearest, np.inf, axis=2)
    return found
