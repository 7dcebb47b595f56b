"""Two pictures laid over each other, measured block by block."""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core import geometry
from core.geometry import Map, Size
from core.types import Pixels

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

GRID = 256
"""Long side of the overlap when compared, in pixels; measured: more gains nothing, and costs."""
LEAST = 32
"""Pixels that the shorter side of the overlap must have for blocks to mean anything."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GROUND = 243.0
"""Grey level from which a pixel counts as white ground; JPEG leaves 245 to 255 there."""
_WHOLE = 0.99
"""Share of a pixel that must lie inside both pictures."""
_EDGE = 0.97
"""Share of a block that must lie inside both pictures."""


class Laid(Struct, frozen=True):
    """What each block of the overlap says; arrays are (rows, columns) of blocks."""

    matrix: Map
    """Picture to original, in preview pixels, after refinement."""
    drift: float
    """How far refinement moved a corner, as a share of the overlap's long side."""
    seen: float
    filled: float
    frame: tuple[float, float, float, float]
    """Left, top, width and height of the grid in shares of the original."""
    inside: Flags
    deviation: tuple[Floats, Floats]
    """Standard deviation of grey in original and picture, grey levels."""
    correlation: Floats
    """Of grey, -1 to 1, whatever the light."""
    fine: tuple[Floats, Floats]
    """Standard deviation of the fine band in original and picture."""
    fine_correlation: Floats
    level: tuple[Floats, Floats]
    """Mean grey of original and picture."""
    chroma: tuple[Floats, Floats]
    """(rows, columns, 2): mean red and blue less grey, of original and picture."""
    ground: Floats
    """Share of the block that is white ground in both, or within four pixels of it."""
    grey: tuple[Floats, Floats]
    """Both planes, pixel by pixel, for the exact bounds of what differs."""


def lay(query: Pixels, candidate: Pixels, matrix: Map, drift: float) -> Laid | None:
    """Lay a picture over an original by a map of preview pixels, refine the map, measure blocks.

    A refinement that moves a corner by more than `drift` of the side is not believed. None where
    the two hardly touch.
    """
    size, whole = (query.shape[1], query.shape[0]), (candidate.shape[1], candidate.shape[0])
    shape = geometry.polygon(matrix, size, whole)
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
    frame = (columns * block, rows * block)
    base = _resized(candidate[top:bottom, left:right], frame)
    onto = _stretch((wide, high), frame)
    onto[:, 2] += (left, top)
    lead = geometry.compose(geometry.invert(matrix), onto)
    picture, shrink = _reduced(query, lead)
    lead = geometry.compose(shrink, lead)
    grey, plain = _grey(base), _grey(picture)
    better, moved = _refined(lead, plain, grey)
    if moved <= drift:
        lead = better
    laid = geometry.warp(picture, lead, frame)
    other = _grey(laid)
    mask = (inside(plain.shape, lead, frame) > _WHOLE).astype(np.float32)
    matrix = geometry.compose(
        onto, geometry.invert(geometry.compose(geometry.invert(shrink), lead))
    )
    shape = geometry.polygon(matrix, size, whole)
    area = float(cv2.contourArea(shape)) if len(shape) else 0.0
    full = abs(float(np.linalg.det(matrix[:, :2]))) * size[0] * size[1]

    def cut(plane: Floats) -> Floats:
        means: Floats = plane.reshape(rows, block, columns, block).mean(axis=(1, 3))
        return means

    def both(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        mx, my = cut(x), cut(y)
        vx = np.maximum(cut(x * x) - mx * mx, 0)
        vy = np.maximum(cut(y * y) - my * my, 0)
        shared = (cut(x * y) - mx * my) / np.sqrt(np.maximum(vx * vy, 1e-3))
        return mx, my, np.sqrt(vx), np.sqrt(vy), shared

    soft = _soft(grey, 0.8), _soft(other, 0.8)
    m0, m1, d0, d1, alike = both(*soft)
    _, _, f0, f1, fine = both(
        soft[0] - _soft(grey, 3.0),
        soft[1] - _soft(other, 3.0),
    )
    colour = [
        np.stack([cut(p[..., 0] - g), cut(p[..., 2] - g)], axis=-1)
        for p, g in ((base, grey), (laid, other))
    ]
    return Laid(
        matrix=matrix,
        drift=moved,
        seen=min(1.0, area / (whole[0] * whole[1])),
        filled=min(1.0, area / full),
        frame=(left / whole[0], top / whole[1], wide / whole[0], high / whole[1]),
        inside=cut(mask) > _EDGE,
        deviation=(d0, d1),
        correlation=alike,
        fine=(f0, f1),
        fine_correlation=fine,
        level=(m0, m1),
        chroma=(colour[0], colour[1]),
        ground=cut(_near_ground(grey, other)),
        grey=soft,
    )


def inside(shape: tuple[int, ...], lead: Map, frame: Size) -> Floats:
    """1 where the map leads into a picture of that shape, 0 elsewhere."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    ones = np.ones(shape, np.float32)
    laid = cv2.warpAffine(ones, lead, frame, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(laid, np.float32)


def _near_ground(first: Floats, second: Floats) -> Floats:
    """1 on and beside what is white in both."""
    white = ((first > _GROUND) & (second > _GROUND)).astype(np.uint8)
    return np.asarray(cv2.dilate(white, np.ones((9, 9), np.uint8)), np.float32)


def _stretch(inner: Size, outer: Size) -> Map:
    """Pixels of a resized plane (`outer`) to those of the plane it came from (`inner`)."""
    x, y = inner[0] / outer[0], inner[1] / outer[1]
    return np.array([[x, 0.0, x / 2 - 0.5], [0.0, y, y / 2 - 0.5]])


def _reduced(query: Pixels, lead: Map) -> tuple[Floats, Map]:
    """The query at about the grid's scale, so that warping it skips no pixel; and the map there."""
    reach = np.linalg.norm(np.linalg.inv(lead[:, :2]), axis=0)
    height, width = query.shape[:2]
    small = max(1, round(width * min(1.0, reach[0]))), max(1, round(height * min(1.0, reach[1])))
    if small[0] > 0.85 * width and small[1] > 0.85 * height:
        return query.astype(np.float32), np.eye(2, 3)
    plane = _resized(query, small)
    return plane, _stretch(small, (width, height))


def _grey(pixels: Floats) -> Floats:
    grey: Floats = pixels @ _LUMA
    return grey


def _soft(plane: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _resized(plane: Pixels | Floats, size: Size) -> Floats:
    """By the mean of the area each new pixel covers."""
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _normal(plane: Floats) -> Floats:
    """Local mean 0 and deviation 1, so that light and contrast do not matter."""
    mean = np.asarray(cv2.blur(plane, (13, 13)), np.float32)
    power = np.asarray(cv2.blur(plane * plane, (13, 13)), np.float32) - mean * mean
    return np.asarray((plane - mean) / (np.sqrt(np.maximum(power, 0.0)) + 4.0), np.float32)


def _refined(lead: Map, query: Floats, candidate: Floats) -> tuple[Map, float]:
    """Refine at half size, where a few steps reach far and a tenth of a pixel is still seen."""
    height, width = candidate.shape
    frame = (width // 2, height // 2)
    rows, columns = query.shape
    small = (max(1, columns // 2), max(1, rows // 2))
    there = _resized(candidate, frame)
    here = _resized(query, small)
    down, up = _stretch(small, (columns, rows)), _stretch((width, height), frame)
    start = geometry.compose(down, geometry.compose(lead, up))
    mask = inside(here.shape, start, frame)
    found, far = geometry.sharpen(start, _normal(here), _normal(there), mask, 8)
    back = geometry.compose(geometry.invert(down), geometry.compose(found, geometry.invert(up)))
    return back, far / max(frame)
