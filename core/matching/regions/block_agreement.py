"""Agreement of two aligned pictures, block by block, whatever was done to light and colour."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from core.matching.regions.overlay import Flags, Overlay, grey

Floats = NDArray[np.float32]

_BLOCK, _STEP = 16, 8
"""Side of a block and distance of two blocks, in pixels of the frame."""
_SOFTNESS = (0.8, 2.0)
"""Blurs at which brightness is correlated; the better one counts, as compression and noise spoil
only what is fine."""
_INSIDE = 0.7
"""Share of a block that must be inside both pictures."""
_TEXTURE, _TRACE = 6.0, 2.0
"""Grey levels by which a block must vary in one of the two, and at least in the other."""
_ALIKE, _EDGES = 0.8, 0.55
"""Correlation of brightness, either sign, or of the direction of edges, from which a block agrees.
"""
_STRONG, _STRONG_EDGES = 0.9, 0.75
"""The same for a block that agrees strongly."""
_WHITE = 243.0
"""Grey level from which a pixel counts as white ground; JPEG leaves 245 to 255 there."""
_GROUND = 0.02
"""Share of plain ground from which a block may be mere outline."""


class BlockAgreement(Struct, frozen=True):
    """Numbers of blocks that are telling and that agree; `inner` ones are without plain ground."""

    telling: int
    agreeing: int
    strong: int
    inner_telling: int
    inner_agreeing: int
    inner_strong: int
    correlation: float
    """Median absolute correlation of the blocks that agree; 0 if none do."""

    @property
    def share(self) -> float:
        """Return the share of the telling blocks that agree."""
        return self.agreeing / max(1, self.telling)

    @property
    def inner_share(self) -> float:
        """Return the same for blocks without plain ground."""
        return self.inner_agreeing / max(1, self.inner_telling)


def agreement(overlay: Overlay) -> BlockAgreement:
    """Count the blocks of an overlay in which both pictures agree.

    A block agrees if its brightness correlates, straight or reversed, or if its edges have the same
    directions: no line of light, curve, colour or negative matters.
    """
    mean = _BlockMean(overlay.mask)
    here, there = grey(overlay.original), grey(overlay.picture)
    fine, first, second = _correlation(mean, here, there, _SOFTNESS[0])
    coarse, _, _ = _correlation(mean, here, there, _SOFTNESS[1])
    alike = np.maximum(np.abs(fine), np.abs(coarse))
    edges = _edge_correlation(mean, here, there)
    telling = (mean.weight > _INSIDE) & (np.maximum(first, second) > _TEXTURE)
    both = telling & (np.minimum(first, second) > _TRACE)
    agree = both & ((alike > _ALIKE) | (edges > _EDGES))
    strong = both & ((alike > _STRONG) | (edges > _STRONG_EDGES))
    inner = _near_white(mean, here, there) < _GROUND
    return BlockAgreement(
        telling=int(telling.sum()),
        agreeing=int(agree.sum()),
        strong=int(strong.sum()),
        inner_telling=int((telling & inner).sum()),
        inner_agreeing=int((agree & inner).sum()),
        inner_strong=int((strong & inner).sum()),
        correlation=float(np.median(alike[agree])) if agree.any() else 0.0,
    )


class _BlockMean:
    """Means over the blocks of a frame, of the pixels inside both pictures alone."""

    def __init__(self, mask: Flags) -> None:
        height, width = mask.shape
        half = _BLOCK // 2
        self._at = np.ix_(
            np.arange(half, height - half + 1, _STEP), np.arange(half, width - half + 1, _STEP)
        )
        self._mask = mask.astype(np.float32)
        self.weight = self._sum(self._mask)
        self._divisor = np.maximum(self.weight, 1e-3)

    def _sum(self, plane: Floats) -> Floats:
        boxed = cv2.boxFilter(plane, cv2.CV_32F, (_BLOCK, _BLOCK), borderType=cv2.BORDER_REFLECT)
        return np.asarray(boxed[self._at], np.float32)

    def __call__(self, plane: Floats) -> Floats:
        return np.asarray(self._sum(plane * self._mask) / self._divisor, np.float32)


def _correlation(
    mean: _BlockMean, here: Floats, there: Floats, softness: float
) -> tuple[Floats, Floats, Floats]:
    """Return the correlation of each block, and the standard deviations of both sides."""
    first, second = (
        np.asarray(cv2.GaussianBlur(plane, (0, 0), softness), np.float32) for plane in (here, there)
    )
    middle, other = mean(first), mean(second)
    power = np.maximum(mean(first * first) - middle * middle, 0.0)
    against = np.maximum(mean(second * second) - other * other, 0.0)
    shared = mean(first * second) - middle * other
    correlation = shared / np.sqrt(power * against + 4.0)
    return _f32(correlation), _f32(np.sqrt(power)), _f32(np.sqrt(against))


def _edge_correlation(mean: _BlockMean, here: Floats, there: Floats) -> Floats:
    """Return how well the directions of edges agree, sign aside: both angles doubled."""
    waves = []
    for plane in (here, there):
        soft = cv2.GaussianBlur(plane, (0, 0), 1.2)
        x, y = (_f32(cv2.Scharr(soft, cv2.CV_32F, dx, 1 - dx, scale=1 / 32)) for dx in (1, 0))
        length = np.hypot(x, y) + 1e-3
        waves.append((_f32((x * x - y * y) / length), _f32(2 * x * y / length)))
    (ax, ay), (bx, by) = waves
    power = mean(ax * ax + ay * ay) * mean(bx * bx + by * by)
    return _f32(mean(ax * bx + ay * by) / np.sqrt(power + 0.05))


def _near_white(mean: _BlockMean, here: Floats, there: Floats) -> Floats:
    """Return the share of each block that is white in both, or within four pixels of it."""
    white = ((here > _WHITE) & (there > _WHITE)).astype(np.uint8)
    return mean(cv2.dilate(white, np.ones((9, 9), np.uint8)).astype(np.float32))


def _f32(plane: ArrayLike) -> Floats:
    return np.asarray(plane, np.float32)
