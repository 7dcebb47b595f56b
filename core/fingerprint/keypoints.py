"""SIFT keypoints of a preview, and the matching of two sets of them.

SIFT (Lowe 2004) by OpenCV with RootSIFT descriptors (Arandjelovic and Zisserman 2012): points that
survive rotation, scaling and re-encoding. The keypoints of the mirrored picture come from permuted
descriptors, without a second extraction.
"""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.fingerprint.visual_words import MIRROR
from core.types import Pixels

Floats = NDArray[np.float32]

POINTS = 500
"""Strongest keypoints kept; measured: 400 to 500 of a 512-pixel preview find every edit."""
CONTRAST = 0.015
"""SIFT's contrast threshold (OpenCV's default is 0.04): low enough for faint pictures; the
strongest points are kept in any case."""
_ROOT = 512.0
"""Steps per unit in a byte: each of the 128 values of a root descriptor is under about 0.5."""


class DetailKeypoints(Struct, frozen=True):
    """Keypoints and descriptors of a preview of up to 512 pixels; arrays as bytes."""

    points: bytes
    """(n, 4) float32: x and y in preview pixels, size in pixels, angle in degrees."""
    descriptors: bytes
    """(n, 128) uint8: RootSIFT times 512."""
    width: int
    height: int


class MatchedPoints(Struct, frozen=True):
    """Keypoints and descriptors unpacked for matching."""

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


def match(query: MatchedPoints, candidate: MatchedPoints, ratio: float) -> NDArray[np.intp]:
    """Match keypoints; return (n, 2) rows of query and candidate that match each other, best first.

    Lowe's ratio test on distances; each keypoint of the candidate is used once, because many-to-one
    matches make false inliers.
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
