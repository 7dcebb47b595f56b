"""Comparison of pictures without keypoints: flat drawings, icons, gradients, simple logos."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.matching.regions.homography import Map, Size
from core.types import Pixels

FEW = 8
"""Keypoints below which a picture is plain; every one of 300 shop photos has more (measured)."""
_SIDE = 24
"""Pixels per side of the small Lab pictures."""
_MEAN, _HIGH = 3.5, 12.0
"""Distance in Lab that copies keep, in the mean and at the 98th percentile; measured on eight kinds
of drawing: copies have at most 3.2 and 11, different pictures of a kind at least 6.2."""
_DRAWN_MEAN = 10.0
"""Mean distance where something is drawn on the ground: a small mark must not drown in it."""
_VARIED = 2.0
"""Lab units by which a picture must vary: one colour says nothing."""
_LEAST = 16
"""Pixels of the short side under which a picture is tiny."""


def turn_of(query: Pixels, original: Pixels) -> int | None:
    """Return the turn (0 to 7) under which two plain pictures are one; None if under none."""
    if min(*query.shape[:2], *original.shape[:2]) < _LEAST:
        return None
    here, there = _small(query), _small(original)
    if min(_variation(here), _variation(there)) < _VARIED:
        return None
    for turn in range(8):
        turned = np.rot90(here[:, ::-1] if turn >= 4 else here, turn % 4)  # noqa: PLR2004 - half of 8
        apart = np.linalg.norm(turned - there, axis=2)
        if apart.mean() > _MEAN or np.percentile(apart, 98) > _HIGH:
            continue
        drawn = np.linalg.norm(there - np.median(there, axis=(0, 1)), axis=2) > _HIGH
        if not drawn.any() or apart[drawn].mean() <= _DRAWN_MEAN:
            return turn
    return None


def turned_map(turn: int, query: Size, original: Size) -> Map:
    """Return the map of a whole picture, put through one of the eight turns, to an original.

    Turns 4 to 7 mirror first, then rotate counter-clockwise by 90 degrees times `turn % 4`.
    """
    # shares around the centre, y down: a counter-clockwise quarter takes (x, y) to (y, -x)
    linear = np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), turn % 4)
    if turn >= 4:  # noqa: PLR2004 - the second half of the eight
        linear = linear @ np.diag([-1.0, 1.0])
    scaled = np.diag(np.asarray(original, float)) @ linear @ np.diag(1 / np.asarray(query, float))
    middle, target = ((np.asarray(size, float) - 1) / 2 for size in (query, original))
    shift = target - scaled @ middle
    return np.vstack([np.column_stack([scaled, shift]), [0.0, 0.0, 1.0]])


def _small(pixels: Pixels) -> NDArray[np.float32]:
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor((small / 255).astype(np.float32), cv2.COLOR_RGB2LAB))


def _variation(small: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(small - small.mean(axis=(0, 1)), axis=2).mean())
