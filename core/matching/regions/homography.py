"""Plane projective maps between two previews: fitting, checking, projecting.

A map is a (3, 3) float64 matrix, [2, 2] = 1, from picture to original, both in preview pixels whose
centres are at whole numbers (OpenCV's convention).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]
Points = NDArray[np.float64]
Size = tuple[int, int]
"""Width and height in pixels."""

_LARGEST = 14.0
"""Factor by which a map may scale, either way: a tile of a 12-fold reduction, with room."""
_STRETCH = 3.0
"""Ratio of a map's two scales at one place, at most: a squeeze of 4:3 to 9:16 has 2.4."""
_PERSPECTIVE = 4.0
"""Ratio of a map's scales at two places, at most: a screen photographed at 70 degrees."""


def project(matrix: Map, points: NDArray[np.floating]) -> Points:
    """Apply a map to (n, 2) points."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    depth = moved[:, 2:]
    return np.asarray(moved[:, :2] / np.where(depth == 0.0, 1e-9, depth))


def jacobians(matrix: Map, points: NDArray[np.floating]) -> Points:
    """Return the (n, 2, 2) linear maps that a map is at these points."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    depth = moved[:, 2]
    at = moved[:, :2] / depth[:, None]
    linear = matrix[None, :2, :2] - at[:, :, None] * matrix[None, 2:, :2]
    return np.asarray(linear / depth[:, None, None])


def invert(matrix: Map) -> Map:
    """Return the inverse of a map."""
    back = np.linalg.inv(matrix)
    return np.asarray(back / back[2, 2])


def mirroring(width: int) -> Map:
    """Return the left-right mirror of a picture of that width, onto itself."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def resizing(inner: Size, outer: Size) -> Map:
    """Map the pixels of a resized picture (`outer`) to those of its source (`inner`)."""
    x, y = inner[0] / outer[0], inner[1] / outer[1]
    return np.array([[x, 0.0, x / 2 - 0.5], [0.0, y, y / 2 - 0.5], [0.0, 0.0, 1.0]])


class FittedMap(NamedTuple):
    """Map, and the number of points that fix one of its kind."""

    matrix: Map
    sample: int


def squeeze(query: Size, original: Size, turn: int) -> float:
    """Return by which factor two pictures' aspect ratios differ under a turn, at least 1."""
    width, height = query if turn % 2 == 0 else query[::-1]
    ratio = (width / height) / (original[0] / original[1])
    return max(ratio, 1 / ratio)


def fit(query: Points, original: Points) -> FittedMap | None:
    """Fit the map that the number and spread of these (n, 2) points can carry.

    A homography from 16 points, an affine map from 8, else a similarity, by least squares; None if
    they fit nothing plausible.
    """
    spread = _spread(query)
    if len(query) >= 16 and spread > 0.2:  # noqa: PLR2004 - 8 unknowns, twice as many numbers each
        found, _ = cv2.findHomography(query, original, 0)
        full = None if found is None else np.asarray(found, np.float64)
        if full is not None and plausible(full, query):
            return FittedMap(full, 4)
    wide = len(query) >= 8 and spread > 0.12  # noqa: PLR2004 - 6 unknowns, with room
    matrix = _affine(query, original) if wide else _similarity(query, original)
    if matrix is None or not plausible(matrix, query):
        return None
    return FittedMap(matrix, 3 if wide else 2)


def _spread(points: Points) -> float:
    """Return the ratio of the points' extent in their narrow and their wide direction."""
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(values[1] / max(values[0], 1e-6))


def _affine(query: Points, original: Points) -> Map:
    ones = np.column_stack([query, np.ones(len(query))])
    solved = np.linalg.lstsq(ones, original, rcond=None)[0]
    return np.vstack([solved.T, [0.0, 0.0, 1.0]])


def _similarity(query: Points, original: Points) -> Map | None:
    centre, target = query.mean(axis=0), original.mean(axis=0)
    # complex numbers: turn and scale are one factor, x right and y down
    here, there = (query - centre) @ [1, 1j], (original - target) @ [1, 1j]
    power = float((here.conj() * here).real.sum())
    if power <= 0.0:
        return None
    factor = complex((here.conj() * there).sum() / power)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.vstack([np.column_stack([linear, target - linear @ centre]), [0.0, 0.0, 1.0]])


def plausible(matrix: Map, points: Points) -> bool:
    """Return whether a map keeps its orientation and a bounded scale and stretch at these points.

    The map is one without a mirror: the picture was mirrored before.
    """
    if not np.isfinite(matrix).all():
        return False
    depth = points @ matrix[2, :2] + matrix[2, 2]
    if (depth * depth[0] <= 0).any():
        return False
    linear = jacobians(matrix, points)
    values = np.linalg.svd(linear, compute_uv=False)
    large, small = values[:, 0], values[:, 1]
    return bool(
        (np.linalg.det(linear) > 0).all()
        and small.min() > 1 / _LARGEST
        and large.max() < _LARGEST
        and (large < _STRETCH * small).all()
        and large.max() < _PERSPECTIVE * large.min()
    )


def corners(size: Size) -> Points:
    """Return the outer corners of a picture, clockwise from the top left, (4, 2)."""
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5


def overlap(matrix: Map, query: Size, original: Size) -> Points:
    """Return the corners of the overlap in original pixels, (n, 2); empty if there is none."""
    frame = corners(query)
    depth = frame @ matrix[2, :2] + matrix[2, 2]
    if (depth * depth[0] <= 0).any():
        return np.empty((0, 2))
    moved = cv2.convexHull(project(matrix, frame).astype(np.float32))
    covered, shape = cv2.intersectConvexConvex(moved, corners(original).astype(np.float32))
    if covered <= 0 or shape is None:
        return np.empty((0, 2))
    return np.asarray(shape, np.float64).reshape(-1, 2)


def area(shape: NDArray[np.floating]) -> float:
    """Return the area of a convex polygon of (n, 2) corners; 0 of fewer than three."""
    if len(shape) < 3:  # noqa: PLR2004 - a polygon
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(shape.astype(np.float32))))
