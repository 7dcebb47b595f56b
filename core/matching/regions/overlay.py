"""Overlay of a picture on an original: both in one frame, over the part that both show."""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from core.matching.regions import homography
from core.matching.regions.homography import Map, Size
from core.types import Pixels

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Flow = NDArray[np.float32]
"""(h, w, 2): shift in frame pixels to the point of the laid picture that belongs there."""

GRID = 256
"""Long side of the overlap when compared, in pixels; measured: more gains nothing, and costs."""
LEAST = 24
"""Least pixels of the shorter side of the overlap for blocks to be meaningful."""
_WHOLE = 0.99
"""Share of a pixel that must be inside both pictures."""
_BEND = 0.035
"""Share of the long side by which a deformation may move a pixel: lenses, waves, paper."""
_SMOOTH = 9.0
"""Standard deviation, in grid pixels, over which a deformation is smooth."""
_SURE = 0.3
"""Local correlation from which a place has a say in the deformation."""


class Overlay(Struct, frozen=True):
    """Two pictures in the frame of their overlap, at most `GRID` pixels long.

    A strip's is longer, so that its short side keeps a quarter of that.
    """

    original: Floats
    """(h, w, 3), 0 to 255."""
    picture: Floats
    mask: Flags
    """(h, w): inside both pictures."""
    seen: float
    """Share of the original's area that the picture shows."""
    filled: float
    """Share of the picture's area that the original fills."""
    box: tuple[int, int, int, int]
    """Left, top, width and height of the frame in preview pixels of the original."""
    flow: Flow | None = None
    """Deformation that was undone."""


def lay(query: Pixels, original: Pixels, matrix: Map, grid: int = GRID) -> Overlay | None:
    """Warp a picture into the original's frame over their overlap; None if they hardly touch."""
    size, whole = (query.shape[1], query.shape[0]), (original.shape[1], original.shape[0])
    shape = homography.overlap(matrix, size, whole)
    if len(shape) < 3:  # noqa: PLR2004 - a polygon
        return None
    left, top = np.maximum(np.floor(shape.min(axis=0)), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(shape.max(axis=0)) + 1, whole).astype(int).tolist()
    wide, high = right - left, bottom - top
    back = homography.invert(matrix)
    local = homography.jacobians(back, shape.mean(axis=0)[None])[0]
    scale = 1 / math.sqrt(max(abs(float(np.linalg.det(local))), 1e-6))
    pixel = max(1.0, scale, min(max(wide, high) / grid, min(wide, high) / (grid // 4)))
    frame = round(wide / pixel), round(high / pixel)
    if min(frame) < LEAST:
        return None
    base = resized(original[top:bottom, left:right], frame)
    onto = homography.resizing((wide, high), frame)
    onto[:2, 2] += (left, top)
    picture, shrink = _reduced(query, scale / pixel)
    lead = shrink @ back @ onto
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(picture, lead, frame, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones(picture.shape[:2], np.float32)
    mask = (cv2.warpPerspective(ones, lead, frame, flags=flags) > _WHOLE).astype(np.uint8)
    covered = homography.area(shape)
    own = homography.area(homography.project(back, shape))
    return Overlay(
        original=base.astype(np.float32),
        picture=laid.astype(np.float32),
        mask=cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=1) > 0,
        seen=min(1.0, covered / (whole[0] * whole[1])),
        filled=min(1.0, own / (size[0] * size[1])),
        box=(left, top, wide, high),
    )


def resized(pixels: Pixels, size: Size) -> Pixels:
    """Resize by the mean of the area that each new pixel covers."""
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _reduced(query: Pixels, factor: float) -> tuple[Pixels, Map]:
    """Scale the query to about the frame's size, so that warping skips no pixel; and map to it."""
    if factor >= 0.8:  # noqa: PLR2004 - hardly smaller
        return query, np.eye(3)
    size = query.shape[1], query.shape[0]
    small = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    return resized(query, small), homography.invert(homography.resizing(size, small))


def grey(pixels: Floats) -> Floats:
    """Return the brightness of (h, w, 3) pixels, 0 to 255."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)


def normalised(plane: Floats, side: int = 13) -> Floats:
    """Return a plane with its local mean taken away and its local contrast made one."""
    mean = cv2.blur(plane, (side, side))
    power = cv2.blur(plane * plane, (side, side)) - mean * mean
    return np.asarray((plane - mean) / (np.sqrt(np.maximum(power, 0.0)) + 4.0), np.float32)


def deformed(overlay: Overlay, *, negative: bool) -> Overlay:
    """Undo a small smooth deformation of the picture, such as a lens, waves or bent paper.

    Dense inverse search (Kroeger et al. 2016) on locally normalised brightness finds where each
    pixel went; only what agrees there has a say, and the rest follows smoothly.
    """
    first, second = (
        normalised(np.asarray(cv2.GaussianBlur(grey(one), (0, 0), 1.0)))
        for one in (overlay.original, overlay.picture)
    )
    second = -second if negative else second
    height, width = first.shape
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]
    moved = search.calc(_bytes(first), _bytes(second), None)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    there = _sampled(second, x + moved[..., 0], y + moved[..., 1])
    side = (17, 17)
    alike = cv2.blur(first * there, side) / (
        np.sqrt(np.maximum(cv2.blur(first * first, side) * cv2.blur(there * there, side), 1e-6))
    )
    sure = np.clip(alike - _SURE, 0, 1) * overlay.mask * (np.abs(first) > 0.2) + 1e-4  # noqa: PLR2004 - flat
    sure[np.hypot(moved[..., 0], moved[..., 1]) > _BEND * max(height, width)] = 1e-4
    total = cv2.GaussianBlur(sure, (0, 0), _SMOOTH) + 1e-6
    flow = np.stack(
        [cv2.GaussianBlur(moved[..., axis] * sure, (0, 0), _SMOOTH) / total for axis in (0, 1)], -1
    )
    return bent(overlay, flow.astype(np.float32))


def bent(overlay: Overlay, flow: Flow) -> Overlay:
    """Undo a deformation; its frame may be finer or coarser than this one."""
    height, width = overlay.mask.shape
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    shift = cv2.resize(flow, (width, height)) * scale
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + shift[..., 0], y + shift[..., 1]
    return replace(
        overlay,
        picture=_sampled(overlay.picture, x, y),
        mask=_sampled(overlay.mask.astype(np.float32), x, y) > _WHOLE,
        flow=flow,
    )


def _bytes(plane: Floats) -> Pixels:
    return np.asarray(np.clip(plane * 45 + 128, 0, 255), np.uint8)


def _sampled(plane: Floats, x: Floats, y: Floats) -> Floats:
    sampled = cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)
