"""Contours of objects that only one of two aligned pictures shows.

An object ends at a contour, across which the picture without it goes on. A copy has objects laid
over it or lost some; two exposures of one place have objects of their own on both sides.
"""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct

from core.matching.differences.color_transfer import largest
from core.matching.differences.difference_regions import STROKE, Bits, excess, morphed
from core.matching.regions.overlay import Flags, Floats

_AROUND = 0.2
"""Side of the neighbourhood whose median difference is light: a road that is lit otherwise than the
rest of a street has no contours of its own; as a share of the long side."""
_REDUCED = 4
"""Reduction at which that median is taken."""
_LEVEL, _TIMES = 16.0, 2.2
"""Grey levels, and multiple of the pair's noise, above which a pixel belongs to an object."""
_MARGIN = 0.15
"""Outer share of the sides: words, dates, logos and badges stand wholly in it, and are laid over.
"""
_RIM = 9
"""Pixels from the border of the overlap, to which frames and bars reach."""
_WINDOW = (9, 9)
"""Neighbourhood in which colours inside and outside of a contour are averaged, in pixels."""
_SHARE = 0.15
"""Share of that neighbourhood on either side of the contour, at least."""
_STEP, _GOES_ON = 24.0, 0.35
"""Grey levels by which colour changes across a contour, and the share of that change up to which
the other picture goes on."""
_JOINED, _RUN = 5, 0.06
"""Side of the dilation that joins a contour that texture interrupts, in pixels, and length from
which it is no accident of texture, as a multiple of the overlap's side."""


class OwnContours(Struct, frozen=True):
    """Lengths of contours that one picture shows alone, as multiples of the overlap's side.

    The side is the root of the number of pixels.
    """

    original: float = 0.0
    picture: float = 0.0


def own_contours(lit: Floats, picture: Floats, mask: Flags) -> OwnContours:
    """Measure the contours that each of two planes of equal light, (h, w, 3), shows alone."""
    objects = _objects(lit, picture, mask)
    if not objects.any():
        return OwnContours()
    outside = ((morphed(objects, cv2.MORPH_DILATE, 5) == 0) & mask).astype(np.float32)
    inside = objects.astype(np.float32)
    near = np.minimum(cv2.blur(inside, _WINDOW), cv2.blur(outside, _WINDOW)) > _SHARE
    contour = (objects > morphed(objects, cv2.MORPH_ERODE, 3)) & near
    first, second = (
        largest(np.abs(_mean(plane, inside) - _mean(plane, outside))) for plane in (lit, picture)
    )
    side = float(mask.sum()) ** 0.5
    return OwnContours(
        original=_length(contour & (first > _STEP) & (second < _GOES_ON * first), side),
        picture=_length(contour & (second > _STEP) & (first < _GOES_ON * second), side),
    )


def _objects(lit: Floats, picture: Floats, mask: Flags) -> Bits:
    """Mark what differs, is wider than strokes, and stands neither at the border nor near it."""
    level = lit + _usual(picture - lit)
    noise = float(np.median(largest(np.abs(picture - level))[mask]))
    found = ((excess(level, picture) > max(_LEVEL, _TIMES * noise)) & mask).astype(np.uint8)
    found = morphed(morphed(found, cv2.MORPH_CLOSE, 3), cv2.MORPH_OPEN, STROKE)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    rim = cv2.erode(mask.astype(np.uint8), np.ones((_RIM, _RIM)), borderValue=0) == 0
    kept = np.ones(count, np.bool_)
    kept[labels[rim]] = False
    for axis in (0, 1):
        seen = np.flatnonzero(mask.any(axis=axis))
        margin = _MARGIN * (seen[-1] + 1 - seen[0])
        start, stop = stats[:, axis], stats[:, axis] + stats[:, axis + 2]
        kept &= (stop > seen[0] + margin) & (start < seen[-1] - margin)
    kept[0] = False
    return np.asarray(kept[labels], np.uint8)


def _usual(difference: Floats) -> Floats:
    """Return the median of a difference, (h, w, 3), over wide neighbourhoods."""
    height, width = difference.shape[:2]
    size = max(8, width // _REDUCED), max(8, height // _REDUCED)
    small = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
    levels = np.clip(small / 2 + 128, 0, 255).astype(np.uint8)
    window = int(max(height, width) * _AROUND / _REDUCED) // 2 * 2 + 1
    median = cv2.medianBlur(levels, window).astype(np.float32)
    return np.asarray(cv2.resize((median - 128) * 2, (width, height)), np.float32)


def _mean(plane: Floats, weight: Floats) -> Floats:
    summed = cv2.blur(plane * weight[..., None], _WINDOW)
    total = np.maximum(cv2.blur(weight, _WINDOW), 1e-3)
    return np.asarray(summed / total[..., None], np.float32)


def _length(contour: Flags, side: float) -> float:
    """Return the length of the long runs of a contour, as a multiple of the overlap's side."""
    joined = morphed(contour.astype(np.uint8), cv2.MORPH_DILATE, _JOINED)
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    pixels = np.bincount(labels[contour], minlength=count)
    return float(pixels[pixels >= _RUN * side].sum() / side)
