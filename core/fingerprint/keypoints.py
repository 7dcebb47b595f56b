"""SIFT keypoints of a preview, chosen evenly over it, and the matching of two sets of them.

SIFT (Lowe 2004) by OpenCV with RootSIFT descriptors (Arandjelovic and Zisserman 2012): points that
survive rotation, scaling and re-encoding. The keypoints of the mirrored picture and of the negative
come from permuted descriptors, without a second extraction.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.fingerprint.visual_words import MIRROR
from core.types import Pixels

Floats = NDArray[np.float32]

KEYPOINTS_VERSION = 2
"""Version of `detail`: keypoints of another version are computed again before they are matched. The
second is chosen evenly."""
POINTS = 600
"""Keypoints kept of a preview of 512 pixels; measured: 84 follow one map under a meme of two lines,
where the 500 strongest had none, as lettering took all places."""
_POOL = 1_200
"""Strongest keypoints from which they are chosen."""
_CELLS = 8
"""Cells per side: each gives its strongest points first, so that all of the picture has a share."""
_TURN = 4
"""Points that a cell gives before the next one has its turn."""
_SMALL = 200
"""Long side in pixels under which a picture is doubled first, as Lowe does with every picture."""
CONTRAST = 0.012
"""SIFT's contrast threshold (OpenCV's default is 0.04): low enough for faint pictures; the
strongest points of each cell are kept in any case."""
_UNPACKED = 64
"""Pictures whose keypoints stay unpacked, 0.3 MB each: one is matched with several candidates."""
_ROOT = 512.0
"""Steps per unit in a byte: each of the 128 values of a root descriptor is under about 0.5."""
NEGATIVE = np.arange(128).reshape(4, 4, 8)[::-1, ::-1].reshape(128)
"""Index of each of the 128 numbers of a descriptor in that of the negative: every gradient points
the other way, so the keypoint's own angle is reversed, and with it the order of the cells."""


class DetailKeypoints(Struct, frozen=True):
    """Keypoints and descriptors of a preview of up to 512 pixels; arrays as bytes."""

    points: bytes
    """(n, 4) float32: x and y in preview pixels, size in pixels, angle in degrees."""
    descriptors: bytes
    """(n, 128) uint8: RootSIFT times 512."""
    width: int
    height: int
    version: int = 1
    """`KEYPOINTS_VERSION` of their extraction; keypoints stored without it have the first."""


class MatchedPoints(Struct, frozen=True):
    """Keypoints and descriptors unpacked for matching."""

    points: Floats
    """(n, 4) as in `DetailKeypoints`."""
    descriptors: Floats
    """(n, 128) of unit length."""
    width: int
    height: int


def detail(preview: Pixels, count: int = POINTS) -> DetailKeypoints:
    """Extract the keypoints of (height, width, 3) pixels; about 50 ms at 512 pixels."""
    height, width = preview.shape[:2]
    grey = cv2.cvtColor(preview, cv2.COLOR_RGB2GRAY)
    doubled = max(height, width) < _SMALL
    if doubled:
        grey = cv2.resize(grey, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    sift = cv2.SIFT_create(max(count, _POOL), contrastThreshold=CONTRAST)  # type: ignore[attr-defined]
    found, raw = sift.detectAndCompute(grey, None)
    if raw is None or not found:
        return DetailKeypoints(b"", b"", width, height, KEYPOINTS_VERSION)
    points = np.array([(*p.pt, p.size, p.angle) for p in found], np.float32)
    if doubled:
        points[:, :2] = points[:, :2] / 2 - 0.25
        points[:, 2] /= 2
    kept = _evenly(points, np.array([p.response for p in found]), (width, height), count)
    points, raw = points[kept], raw[kept]
    total = np.maximum(raw.sum(axis=1, keepdims=True), 1.0)
    root = np.minimum(np.sqrt(raw / total) * _ROOT, 255).astype(np.uint8)
    return DetailKeypoints(points.tobytes(), root.tobytes(), width, height, KEYPOINTS_VERSION)


def _evenly(
    points: Floats, strength: NDArray[np.float64], size: tuple[int, int], count: int
) -> NDArray[np.intp]:
    """Return the rows to keep: each cell gives its strongest few in turn."""
    column, row = (
        np.clip(points[:, axis] * _CELLS / size[axis], 0, _CELLS - 1).astype(int) for axis in (0, 1)
    )
    cell = row * _CELLS + column
    order = np.lexsort((-strength, cell))
    place = np.empty(len(points), np.intp)
    place[order] = np.arange(len(points)) - np.searchsorted(cell[order], cell[order])
    return np.asarray(np.lexsort((-strength, place // _TURN))[:count])


@lru_cache(_UNPACKED)
def unpack(packed: DetailKeypoints) -> MatchedPoints:
    """Convert bytes to arrays, and descriptors to unit length."""
    points = np.frombuffer(packed.points, np.float32).reshape(-1, 4)
    root = np.frombuffer(packed.descriptors, np.uint8).reshape(-1, 128).astype(np.float32)
    root /= np.maximum(np.sqrt(np.einsum("ij,ij->i", root, root))[:, None], 1.0)
    return MatchedPoints(points=points, descriptors=root, width=packed.width, height=packed.height)


def mirror(points: MatchedPoints) -> MatchedPoints:
    """Return the keypoints of the left-right mirrored picture, row for row."""
    moved = points.points.copy()
    moved[:, 0] = points.width - 1 - moved[:, 0]
    moved[:, 3] = (180.0 - moved[:, 3]) % 360.0
    return MatchedPoints(
        points=moved,
        descriptors=points.descriptors[:, MIRROR],
        width=points.width,
        height=points.height,
    )


def negative(points: MatchedPoints) -> MatchedPoints:
    """Return the keypoints of the picture with reversed brightness, row for row."""
    turned = points.points.copy()
    turned[:, 3] = (turned[:, 3] + 180.0) % 360.0
    return MatchedPoints(
        points=turned,
        descriptors=points.descriptors[:, NEGATIVE],
        width=points.width,
        height=points.height,
    )


def match(
    query: MatchedPoints, candidate: MatchedPoints, ratio: float
) -> tuple[NDArray[np.intp], Floats]:
    """Match keypoints that name each other; return (n, 2) rows, best first, and (n,) cosines.

    Lowe's ratio test on distances; a keypoint takes part once on either side.
    """
    if len(query.points) < 2 or len(candidate.points) < 2:  # noqa: PLR2004 - ratio needs a second
        return np.empty((0, 2), np.intp), np.empty(0, np.float32)
    cosines = query.descriptors @ candidate.descriptors.T
    rows = np.arange(len(cosines))
    best = cosines.argmax(axis=1)
    first = cosines[rows, best]
    cosines[rows, best] = -1.0
    second = cosines.max(axis=1)
    cosines[rows, best] = first
    # squared distances of unit vectors are 2 - 2 cos
    kept = np.flatnonzero(1.0 - first <= ratio * ratio * (1.0 - second))
    kept = kept[cosines.T[best[kept]].argmax(axis=1) == kept]
    kept = kept[np.argsort(-first[kept], kind="stable")]
    return np.stack([kept, best[kept]], axis=1), first[kept]
