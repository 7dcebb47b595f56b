"""Affine maps between two previews: from a turn or matched keypoints, refined by pixels.

A map is a (2, 3) float64 matrix from picture to original, both in preview pixels whose centres are
at whole numbers (OpenCV's convention).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Map = NDArray[np.float64]
Floats = NDArray[np.float32]
Size = tuple[int, int]
"""Width and height in pixels."""

_HYPOTHESES = 120
"""Matches that are tried as hypotheses; if many are true, some are among them."""


class AffineFit(Struct, frozen=True):
    """Map found from keypoints, and the number of distinct ones that follow it."""

    matrix: Map
    inliers: int


def compose(outer: Map, inner: Map) -> Map:
    """Compose two maps; `inner` is applied first."""
    both: Map = outer[:, :2] @ inner
    both[:, 2] += outer[:, 2]
    return both


def invert(matrix: Map) -> Map:
    """Return the inverse of a map."""
    (a, b, c), (d, e, f) = matrix.tolist()
    det = a * e - b * d
    return np.asarray(np.array([[e, -b, b * f - c * e], [-d, a, c * d - a * f]]) / det)


def apply(matrix: Map, points: NDArray[np.floating]) -> Map:
    """Apply a map to (n, 2) points."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def mirroring(width: int) -> Map:
    """Return the left-right mirror of a picture of that width, onto itself."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def turned(turn: int, query: Size, candidate: Size) -> Map:
    """Return the map from a whole picture, put through one of the eight turns, to an original.

    Turns 4 to 7 mirror first, then rotate counter-clockwise by 90 degrees times `turn % 4`.
    """
    # shares around the centre, y down: a counter-clockwise quarter takes (x, y) to (y, -x)
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    linear = np.linalg.matrix_power(quarter, turn % 4)
    if turn >= 4:  # noqa: PLR2004 - the second half of the eight
        linear = linear @ np.diag([-1.0, 1.0])
    return between(linear, query, candidate)


def between(linear: Map, query: Size, candidate: Size) -> Map:
    """Convert a linear map of centred shares to a map of pixels."""
    full = np.diag([float(candidate[0]), float(candidate[1])])
    part = np.diag([1.0 / query[0], 1.0 / query[1]])
    matrix = full @ linear @ part
    middle = np.array([(query[0] - 1) / 2, (query[1] - 1) / 2])
    target = np.array([(candidate[0] - 1) / 2, (candidate[1] - 1) / 2])
    return np.column_stack([matrix, target - matrix @ middle])


def from_points(query: Floats, candidate: Floats, least: int, tolerance: float) -> AffineFit | None:
    """Find the similarity, then affine map that most matches follow; None below `least`.

    Each match alone fixes scale, rotation and position, so all are tried in turn, without random
    sampling. (n, 4) rows of x, y, size, angle that belong together; `tolerance` in original pixels.
    """
    if len(query) < least:
        return None
    first, second = query[:, :2].astype(np.float64), candidate[:, :2].astype(np.float64)
    scale = (candidate[:, 2] / query[:, 2]).astype(np.float64)
    angle = np.deg2rad((candidate[:, 3] - query[:, 3]).astype(np.float64))
    # complex numbers: turn and scale are one factor, x right and y down
    here, there = first[:, 0] + 1j * first[:, 1], second[:, 0] + 1j * second[:, 1]
    factor = (scale * np.exp(1j * angle))[:_HYPOTHESES]
    moved = factor[:, None] * (here[None, :] - here[: len(factor), None])
    error = np.abs(moved + there[: len(factor), None] - there[None, :])
    span = float(np.ptp(second, axis=0).max()) + 1.0
    loose = max(4.0 * tolerance, 0.06 * span)
    close = error < loose
    close &= np.abs(np.log(scale[None, :] / scale[: len(factor), None])) < math.log(1.8)
    turns = np.abs((angle[None, :] - angle[: len(factor), None] + np.pi) % (2 * np.pi) - np.pi)
    close &= turns < math.radians(35.0)
    votes = close.sum(axis=1)
    best = int(votes.argmax())
    if votes[best] < least:
        return None
    kept = close[best]
    matrix: Map | None = None
    for step in (2.0, 1.5, 1.0, 1.0):
        matrix = _affine(first[kept], second[kept])
        if matrix is None:
            return None
        kept = np.linalg.norm(apply(matrix, first) - second, axis=1) < step * tolerance
        if kept.sum() < least:
            return None
    assert matrix is not None  # noqa: S101 - the loop above ran
    inliers = min(_places(first[kept]), _places(second[kept]))
    if inliers < least or not plausible(matrix):
        return None
    return AffineFit(matrix=matrix, inliers=inliers)


def _places(points: Map) -> int:
    """Count the whole pixels that the points fall on: one place may have several angles."""
    x, y = np.rint(points).astype(np.int64).T
    return len(np.unique(x * 65_536 + y))


def _affine(query: Map, candidate: Map) -> Map | None:
    """Fit by least squares; a similarity if points are too few or too narrow for an affine map."""
    centre, target = query.mean(axis=0), candidate.mean(axis=0)
    here, there = query - centre, candidate - target
    spread = np.linalg.svd(here, compute_uv=False)
    if len(query) >= 10 and spread[1] > 0.25 * spread[0]:  # noqa: PLR2004 - 6 unknowns, with room
        linear = np.linalg.lstsq(here, there, rcond=None)[0].T
    else:
        a, b = here[:, 0] + 1j * here[:, 1], there[:, 0] + 1j * there[:, 1]
        power = float((a.conj() * a).real.sum())
        if power == 0.0:
            return None
        factor = (a.conj() * b).sum() / power
        linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target - linear @ centre])


def plausible(matrix: Map, stretch: float = 1.8) -> bool:
    """Return whether a map scales by at most 12, and similarly in both directions."""
    values = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(values[1] > 1 / 12 and values[0] < 12 and values[0] <= stretch * values[1])  # noqa: PLR2004 - in the docstring


def polygon(matrix: Map, query: Size, candidate: Size) -> NDArray[np.float32]:
    """Return the corners of the overlap in original pixels; empty if there is none."""
    width, height = query
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5
    moved = apply(matrix, corners).astype(np.float32)
    frame = np.array([[0, 0], [candidate[0], 0], candidate, [0, candidate[1]]], np.float32) - 0.5
    area, shape = cv2.intersectConvexConvex(moved, frame)
    if area <= 0 or shape is None:
        return np.empty((0, 2), np.float32)
    return np.asarray(shape, np.float32).reshape(-1, 2)


def sharpen(
    matrix: Map, query: Floats, candidate: Floats, mask: Floats, steps: int
) -> tuple[Map, float]:
    """Refine a map by Gauss-Newton so that the picture's pixels fit the original's (Baker 2004).

    `query` and `candidate` are locally normalised grey planes, `matrix` maps the candidate's pixels
    to the query's, `mask` is 1 where both are. Returns the map, and the largest movement of a
    corner, in candidate pixels. Pixels that disagree strongly (an overlay) have a low weight.
    """
    height, width = candidate.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    half = max(width, height) / 2
    u, v = (u - (width - 1) / 2) / half, (v - (height - 1) / 2) / half
    centre = np.array([[half, 0.0, (width - 1) / 2], [0.0, half, (height - 1) / 2]])
    gx = cv2.Scharr(candidate, cv2.CV_32F, 1, 0, scale=half / 32)
    gy = cv2.Scharr(candidate, cv2.CV_32F, 0, 1, scale=half / 32)
    jacobian = np.stack([gx * u, gx * v, gx, gy * u, gy * v, gy]).reshape(6, -1)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * [
        width / 2 / half,
        height / 2 / half,
    ]
    start = compose(matrix, centre)
    now = start
    for _ in range(steps):
        laid = warp(query, compose(now, invert(centre)), (width, height))
        error = (laid - candidate) * mask
        weight = mask / (1.0 + (error * error) / 0.25)
        weighted = jacobian * weight.ravel()
        hessian = weighted @ jacobian.T
        hessian += np.eye(6, dtype=np.float32) * (1e-4 * float(np.trace(hessian)) + 1e-6)
        delta = np.linalg.solve(hessian.astype(np.float64), weighted @ error.ravel())
        move = np.array([[1 + delta[0], delta[1], delta[2]], [delta[3], 1 + delta[4], delta[5]]])
        if abs(np.linalg.det(move[:, :2])) < 0.5:  # noqa: PLR2004 - it diverged
            break
        now = compose(now, invert(move))
        if np.abs(delta).max() * half < 0.02:  # noqa: PLR2004 - a fiftieth of a pixel
            break
    drift = compose(invert(start), now)
    far = float(np.linalg.norm(apply(drift, corners) - corners, axis=1).max() * half)
    return compose(now, invert(centre)), far


def warp(plane: Floats, matrix: Map, size: Size) -> Floats:
    """Sample a plane (or stack of channels) at the place that each pixel of a new frame maps to."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32)
