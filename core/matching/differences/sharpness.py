"""Sharpness of a picture relative to its original, and planes brought to the same sharpness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.matching.differences.color_transfer import luma

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

_ALIKE = 1.25
"""Ratio of fine texture up to which two planes are equally sharp."""
_BLURS = (0.5, 0.8, 1.2, 1.7, 2.4, 3.2)
"""Deviations of blurs that are tried, in pixels."""
_TEXTURE = 0.7
"""Grey levels of fine texture from which a pixel counts; drawn ground has none."""
_SHARE = 0.02
"""Share of the overlap with texture in both pictures that suffices to compare only that."""
_FLOOR = 0.15


def equalize(lit: Floats, picture: Floats, mask: Flags) -> tuple[Floats, Floats]:
    """Blur the sharper of two planes until both are alike fine."""
    first, second = _fine(lit), _fine(picture)
    where = _textured(first, second, mask)
    if not where.any():
        return lit, picture
    here, there = _median(first, where), _median(second, where)
    if 1 / _ALIKE <= there / here <= _ALIKE:
        return lit, picture
    sharp, aim = (picture, here) if there > here else (lit, there)
    soft = sharp
    for sigma in _BLURS:
        soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma))
        if _median(_fine(soft), where) <= _ALIKE * aim:
            break
    return (lit, soft) if there > here else (soft, picture)


def ratio(lit: Floats, picture: Floats, mask: Flags) -> float:
    """Return the picture's fine texture as a multiple of the original's, within a mask."""
    first, second = _fine(lit), _fine(picture)
    where = _textured(first, second, mask)
    return _median(second, where) / _median(first, where) if where.any() else 1.0


def _textured(first: Floats, second: Floats, mask: Flags) -> Flags:
    where: Flags = mask & (first > _TEXTURE) & (second > _TEXTURE)
    return mask if where.sum() < _SHARE * mask.sum() else where


def _fine(plane: Floats) -> Floats:
    grey = luma(plane)
    return np.asarray(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2)))


def _median(fine: Floats, where: Flags) -> float:
    return float(np.median(fine[where])) + _FLOOR
