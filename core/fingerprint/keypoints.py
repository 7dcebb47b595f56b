"""Points of a preview that survive turning, scaling and re-encoding, and how two sets match.

SIFT (Lowe 2004) by OpenCV with RootSIFT descriptors (Arandjelovic and Zisserman 2012). A mirrored
picture is asked for by permuting the descriptors, so it is never extracted a second time.
"""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.types import Pixels

Floats = NDArray[np.float32]

POINTS = 500
"""Strongest keypoints kept; measured: 400 to 500 of a 512-pixel preview find every edit."""
CONTRAST = 0.015
"""Of OpenCV's usual 0.04: faint pictures have points too; the strongest are kept all the same."""
_ROOT = 512.0
"""Steps a byte holds: each of the 128 values of a root descriptor stays under about 0.5."""
_CELLS = np.arange(128).reshape(4, 4, 8)
MIRROR = _CELLS[::-1][:, :, (8 - np.arange(8)) % 8].ravel()
"""Order in which a mirrored picture's descriptor holds this one's values."""


class DetailKeypoints(Struct, frozen=True):
    """Keypoints and descriptors of a preview of up to 512 pixels; arrays as bytes."""

    points: bytes
    """(n, 4) float32: x and y in preview pixels, size in pixels, angle in degrees."""
    descriptors: bytes
    """(n, 128) uint8: RootSIFT times 512."""
    width: int
    height: int


class MatchedPoints(Struct, frozen=True):
    """A detail unpacked for matching."""

    points: Floats
    """(n, 4) as in `DetailKeypoints`."""
    descriptors: Floats
    """(n, 128) of unit length."""
    width: int
    height: int


def detail(preview: Pixels) -> DetailKeypoints:
    """Extract the keypoints of (height, width, 3) pixels; up to 33 ms at 512 pixels."""
    height, width = preview.shape[:2]
    grey = cv2.cvtColor(preview, cv2.COLOR_RGB2GRAY)
    found, raw = cv2.SIFT_create(POINTS, contrastThreshold=CONTRAST).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    if raw is None or not found:
        return DetailKeypoints(points=b"", descriptors=b"", width=width, height=height)
    points = np.array([(*p.pt, p.size, p.angle) for p in found], np.float32)[:POINTS]
    raw = raw[:POINTS]
    total = np.maximum(raw.sum(axis=1, keepdims=True), 1.0)
    root = np.minimum(np.sqrt(raw / total) * _ROOT, 255).astype(np.uint8)
    return DetailKeypoints(
        points=points.tobytes(), descriptors=root.tobytes(), width=width, height=height
    )


def unpack(packed: DetailKeypoints) -> MatchedPoints:
    """Bytes to arrays, descriptors to unit length."""
    points = np.frombuffer(packed.points, np.float32).reshape(-1, 4)
    root = np.frombuffer(packed.descriptors, np.uint8).reshape(-1, 128).astype(np.float32)
    norm = np.sqrt(np.einsum("ij,ij->i", root, root))[:, None]
    root /= np.maximum(norm, 1.0)
    return MatchedPoints(points=points, descriptors=root, width=packed.width, height=packed.height)


def mirror(points: MatchedPoints) -> MatchedPoints:
    """The keypoints that the left-right mirrored picture has, row for row."""
    moved = points.points.copy()
    moved[:, 0] = points.width - 1 - moved[:, 0]
    moved[:, 3] = (180.0 - moved[:, 3]) % 360.0
    return MatchedPoints(
        points=moved,
        descriptors=points.descriptors[:, MIRROR],
        width=points.width,
        height=points.height,
    )


def match(query: MatchedPoints, candidate: MatchedPoints, ratio: float) -> NDArray[np.intp]:
    """(n, 2) rows of query and candidate that name each other, best first.

    Lowe's ratio test on distances, and every candidate keypoint is used once: many-to-one matches
    fake inliers.
    """
    if len(query.points) < 2 or len(candidate.points) < 2:  # noqa: PLR2004 - ratio needs a second
        return np.empty((0, 2), np.intp)
    cosines = query.descriptors @ candidate.descriptors.T
    rows = np.arange(len(cosines))
    best = cosines.argmax(axis=1)
    first = cosines[rows, best]
    cosines[rows, best] = -1.0
    second = cosines.max(axis=1)
    # squared distances of unit vectors are 2 - 2 cos
    kept = np.flatnonzero((1.0 - first) <= ratio * ratio * (1.0 - second))
    cosines[rows, best] = first
    kept = kept[cosines[:, best[kept]].argmax(axis=0) == kept]
    kept = kept[np.argsort(-first[kept], kind="stable")]
    return np.stack([kept, best[kept]], axis=1)
