"""Block-by-block measurements of two aligned pictures."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching import affine
from core.matching.affine import Map, Size
from core.matching.photometric import LightChange, fit
from core.types import Pixels

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

GRID = 256
"""Long side of the overlap when compared, in pixels; measured: more gains nothing, and costs."""
LEAST = 32
"""Least pixels of the shorter side of the overlap for blocks to be meaningful."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GROUND = 243.0
"""Grey level from which a pixel counts as white ground; JPEG leaves 245 to 255 there."""
_WHOLE = 0.99
"""Share of a pixel that must be inside both pictures."""
_EDGE = 0.6
"""Share of a block that must be inside both pictures."""
_FINE, _ALIKE, _FEW = 2.0, 0.5, 4
"""Grey levels of fine texture and correlation from which a block measures sharpness, and the number
of such blocks that suffices."""
_SHARP = 0.16
"""Logarithm of a ratio of fine texture up to which two are equally sharp."""
_SOFT, _COARSE = 0.8, 1.8
"""Blur in grid pixels before blocks are compared, and the further blur for coarse texture."""


class OverlaidPair(Struct, frozen=True):
    """Measurements of each block of the overlap; arrays are (rows, columns) of blocks."""

    matrix: Map
    """Map from picture to original, in preview pixels, after refinement."""
    drift: float
    """Movement of a corner by refinement, as a share of the overlap's long side."""
    seen: float
    filled: float
    frame: tuple[float, float, float, float]
    """Left, top, width and height of the grid in shares of the original."""
    light: LightChange
    sharpness: float
    """Fine texture of the picture, as a multiple of the original's in the same light."""
    inside: Flags
    deviation: tuple[Floats, Floats]
    """Standard deviation of grey in original (in the picture's light) and picture, grey levels."""
    correlation: Floats
    """Correlation of grey, -1 to 1, independent of the light."""
    coarse: tuple[Floats, Floats, Floats]
    """Deviations and correlation of coarse texture alone."""
    level: Floats
    """Mean grey of the picture less that of the original in its light."""
    ground: Floats
    """Share of the block that is white ground in both, or within four pixels of it."""
    grey: tuple[Floats, Floats]
    """Both planes, pixel by pixel, for the exact bounds of a difference."""


def lay(query: Pixels, candidate: Pixels, matrix: Map, drift: float) -> OverlaidPair | None:
    """Align a picture with an original by a map of preview pixels, refine it, measure blocks.

    A refinement that moves a corner by more than `drift` of the side is discarded. None if the two
    hardly overlap.
    """
    size, whole = (query.shape[1], query.shape[0]), (candidate.shape[1], candidate.shape[0])
    overlap = _overlap(matrix, size, whole)
    if overlap is None:
        return None
    left, top, wide, high, grid, frame = overlap
    base = _resized(candidate[top : top + high, left : left + wide], frame)
    onto = _stretch((wide, high), frame)
    onto[:, 2] += (left, top)
    lead = affine.compose(affine.invert(matrix), onto)
    picture, shrink = _reduced(query, lead)
    lead = affine.compose(shrink, lead)
    grey, plain = _grey(base), _grey(picture)
    better, moved = _refined(lead, plain, grey)
    if moved <= drift:
        lead = better
    laid = affine.warp(picture, lead, frame)
    mask = _eroded(inside(plain.shape, lead, frame))
    light = fit(base, laid, mask)
    first, second = _soft(_grey(light.expected(base)), _SOFT), _soft(_grey(laid), _SOFT)
    weights = _resized(mask, grid)
    cut = _Cut(mask, weights)
    first, second, sharpness = _equalled(first, second, cut)
    matrix = affine.compose(onto, affine.invert(affine.compose(affine.invert(shrink), lead)))
    seen, filled = _shares(matrix, size, whole)
    m0, m1, d0, d1, alike = cut.both(first, second)
    _, _, c0, c1, coarse = cut.both(_soft(first, _COARSE), _soft(second, _COARSE))
    return OverlaidPair(
        matrix=matrix,
        drift=moved,
        seen=seen,
        filled=filled,
        frame=(left / whole[0], top / whole[1], wide / whole[0], high / whole[1]),
        light=light,
        sharpness=sharpness,
        inside=weights > _EDGE,
        deviation=(d0, d1),
        correlation=alike,
        coarse=(c0, c1, coarse),
        level=m1 - m0,
        ground=cut(_near_ground(grey, _grey(laid))),
        grey=(first, second),
    )


class _Overlap(NamedTuple):
    """Where an original is covered, in its pixels, and the blocks that this is measured in."""

    left: int
    top: int
    width: int
    height: int
    grid: Size
    """Columns and rows of blocks."""
    frame: Size
    """Width and height of the grid in pixels."""


def _overlap(matrix: Map, size: Size, whole: Size) -> _Overlap | None:
    """Return the overlap of a picture of `size` laid over an original, None of hardly any."""
    shape = affine.polygon(matrix, size, whole)
    if len(shape) < 3:  # noqa: PLR2004 - a polygon
        return None
    left, top = np.maximum(np.floor(shape.min(axis=0) + 0.5), 0).astype(int)
    right, bottom = np.minimum(np.ceil(shape.max(axis=0) + 0.5), whole).astype(int)
    wide, high = int(right - left), int(bottom - top)
    pixel = max(1.0, math.sqrt(abs(float(np.linalg.det(matrix[:, :2])))), max(wide, high) / GRID)
    if min(wide, high) < LEAST * pixel:
        return None
    block = 16 if max(wide, high) >= 160 * pixel else 8
    columns, rows = (max(2, round(side / pixel / block)) for side in (wide, high))
    return _Overlap(left, top, wide, high, (columns, rows), (columns * block, rows * block))


def _shares(matrix: Map, size: Size, whole: Size) -> tuple[float, float]:
    """Return what the picture shows of the original, and what of it the original fills."""
    shape = affine.polygon(matrix, size, whole)
    area = float(cv2.contourArea(shape)) if len(shape) else 0.0
    full = abs(float(np.linalg.det(matrix[:, :2]))) * size[0] * size[1]
    return min(1.0, area / (whole[0] * whole[1])), min(1.0, area / full)


class _Cut:
    """Means over blocks, of the pixels inside both pictures alone."""

    def __init__(self, mask: Floats, weights: Floats) -> None:
        self.mask = mask
        self.weights = np.maximum(weights, 1e-3)
        self.size = weights.shape[1], weights.shape[0]

    def __call__(self, plane: Floats) -> Floats:
        return np.asarray(_resized(plane * self.mask, self.size) / self.weights, np.float32)

    def deviation(self, plane: Floats) -> Floats:
        mean = self(plane)
        power = self(plane * plane) - mean * mean
        return np.asarray(np.sqrt(np.maximum(power, 0.0)), np.float32)

    def both(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the means, deviations and correlation of two planes."""
        mx, my = self(x), self(y)
        vx = np.maximum(self(x * x) - mx * mx, 0.0)
        vy = np.maximum(self(y * y) - my * my, 0.0)
        shared: Floats = (self(x * y) - mx * my) / np.sqrt(np.maximum(vx * vy, 1e-3))
        return (
            mx,
            my,
            np.asarray(np.sqrt(vx), np.float32),
            np.asarray(np.sqrt(vy), np.float32),
            shared,
        )


def _eroded(mask: Floats) -> Floats:
    """Erode a mask at the edges of either picture, where the outside bleeds in."""
    whole = (mask > _WHOLE).astype(np.uint8)
    whole[[0, -1]] = 0
    whole[:, [0, -1]] = 0
    return np.asarray(cv2.erode(whole, np.ones((5, 5), np.uint8)), np.float32)


def _equalled(first: Floats, second: Floats, cut: _Cut) -> tuple[Floats, Floats, float]:
    """Blur the sharper of the two until both are equally fine; return the second's sharpness.

    Copies are often smaller, blurred or strongly compressed: detail lost in one is no difference.
    """

    def fine(plane: Floats) -> Floats:
        return cut.deviation(plane - _soft(plane, 2.5))

    here, there = fine(first), fine(second)
    # an overlay's own texture says nothing of sharpness: only where the two are alike at all
    telling = (np.maximum(here, there) > _FINE) & (cut.both(first, second)[4] > _ALIKE)
    if int(telling.sum()) < _FEW:
        return first, second, 1.0
    ratio = float(np.median((there[telling] + 0.3) / (here[telling] + 0.3)))
    if abs(math.log(ratio)) < _SHARP:
        return first, second, ratio
    sharp = first if ratio < 1 else second
    target = float(np.median((there if ratio < 1 else here)[telling]))
    best, off = sharp, abs(math.log(ratio))
    for sigma in (0.6, 0.9, 1.3, 1.8, 2.5, 3.5):
        soft = _soft(sharp, sigma)
        miss = abs(math.log((float(np.median(fine(soft)[telling])) + 0.3) / (target + 0.3)))
        if miss >= off:
            break
        best, off = soft, miss
    return (best, second, ratio) if ratio < 1 else (first, best, ratio)


def inside(shape: tuple[int, ...], lead: Map, frame: Size) -> Floats:
    """Return 1 where the map leads into a picture of that shape, 0 elsewhere."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    ones = np.ones(shape, np.float32)
    laid = cv2.warpAffine(ones, lead, frame, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(laid, np.float32)


def _near_ground(first: Floats, second: Floats) -> Floats:
    """Return 1 on and near pixels that are white in both."""
    white = ((first > _GROUND) & (second > _GROUND)).astype(np.uint8)
    return np.asarray(cv2.dilate(white, np.ones((9, 9), np.uint8)), np.float32)


def _stretch(inner: Size, outer: Size) -> Map:
    """Map pixels of a resized plane (`outer`) to those of its source (`inner`)."""
    x, y = inner[0] / outer[0], inner[1] / outer[1]
    return np.array([[x, 0.0, x / 2 - 0.5], [0.0, y, y / 2 - 0.5]])


def _reduced(query: Pixels, lead: Map) -> tuple[Floats, Map]:
    """Scale the query to about the grid's size, so that warping skips no pixel; and map to it."""
    reach = np.linalg.norm(np.linalg.inv(lead[:, :2]), axis=0)
    height, width = query.shape[:2]
    small = max(1, round(width * min(1.0, reach[0]))), max(1, round(height * min(1.0, reach[1])))
    if small[0] > 0.85 * width and small[1] > 0.85 * height:
        return query.astype(np.float32), np.eye(2, 3)
    return _resized(query, small), _stretch(small, (width, height))


def _grey(pixels: Floats) -> Floats:
    return np.asarray(pixels @ _LUMA)


def _soft(plane: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _resized(plane: Pixels | Floats, size: Size) -> Floats:
    """Resize by the mean of the area that each new pixel covers."""
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _normal(plane: Floats) -> Floats:
    """Normalise to local mean 0 and deviation 1, independent of light and contrast."""
    mean = np.asarray(cv2.blur(plane, (13, 13)), np.float32)
    power = np.asarray(cv2.blur(plane * plane, (13, 13)), np.float32) - mean * mean
    return np.asarray((plane - mean) / (np.sqrt(np.maximum(power, 0.0)) + 4.0), np.float32)


def _refined(lead: Map, query: Floats, candidate: Floats) -> tuple[Map, float]:
    """Refine at half size, where a few steps reach far and a tenth of a pixel still counts."""
    height, width = candidate.shape
    frame = (width // 2, height // 2)
    rows, columns = query.shape
    small = (max(1, columns // 2), max(1, rows // 2))
    there = _resized(candidate, frame)
    here = _resized(query, small)
    down, up = _stretch(small, (columns, rows)), _stretch((width, height), frame)
    start = affine.compose(down, affine.compose(lead, up))
    mask = inside(here.shape, start, frame)
    found, far = affine.sharpen(start, _normal(here), _normal(there), mask, 8)
    back = affine.compose(affine.invert(down), affine.compose(found, affine.invert(up)))
    return back, far / max(frame)
