"""Continuity of a picture across a line: whether one picture goes on there, or another begins."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.matching.differences.color_transfer import luma
from core.matching.regions.homography import Points
from core.types import Pixels

_STEP = 6
"""Pixels across the line between which levels are compared, and on either side of it."""
_POINTS = 40
_CONTINUES, _LEVELS = 1.2, 2.0
"""Multiple of the variation on either side, and grey levels more, up to which a step is none."""
_MOST, _RATIO = 0.72, 3.1
"""Share of the line without a step, and ratio of the mean step to the smaller variation beside it,
at which a picture goes on. Measured around crops: 0.81 to 1 and at most 2.9; in collages up to 0.69
and mostly over 3.4, in frames up to 0.24 and over 29, in small insets over 4."""


def continues(picture: Pixels, border: Points) -> bool:
    """Return whether a picture goes on over the sides of a polygon, (n, 2) clockwise corners.

    False if no side lies inside of it.
    """
    steps = np.concatenate(_steps(picture, border))
    return len(steps) > 0 and _goes_on(steps)


def continuing_sides(picture: Pixels, border: Points) -> list[bool]:
    """Return over which sides of a polygon a picture goes on, from the first corner's side on."""
    return [len(steps) > 0 and _goes_on(steps) for steps in _steps(picture, border)]


def _goes_on(steps: NDArray[np.float64]) -> bool:
    inner, across, outer = steps.T
    usual = float(np.median(np.minimum(inner, outer))) + np.maximum(inner, outer)
    share = float(np.mean(across <= _CONTINUES * usual + _LEVELS))
    ratio = float(across.mean() / (np.minimum(inner, outer).mean() + 1))
    return share >= _MOST and ratio < _RATIO


def _steps(picture: Pixels, border: Points) -> list[NDArray[np.float64]]:
    """Return for each side the grey steps inside, across and outside of it, (points, 3)."""
    grey = cv2.GaussianBlur(luma(picture.astype(np.float32)), (0, 0), 1).astype(np.float32)
    height, width = grey.shape
    centre = border.mean(axis=0)
    found = []
    for start, stop in zip(border, np.roll(border, -1, axis=0), strict=True):
        along = stop - start
        normal = np.array([along[1], -along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
        if normal @ (start + along / 2 - centre) < 0:
            normal = -normal
        points = start + np.linspace(0.06, 0.94, _POINTS)[:, None] * along
        rows = np.array([k * _STEP / 2 for k in (-3, -1, 1, 3)])
        at = points[:, None] + rows[None, :, None] * normal
        whole = ((at >= 0) & (at <= np.array([width - 1, height - 1]))).all(axis=(1, 2))
        at = at[whole].astype(np.float32)
        if not len(at):
            found.append(np.zeros((0, 3)))
            continue
        levels = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        found.append(np.abs(np.diff(levels.astype(np.float64), axis=1)))
    return found
