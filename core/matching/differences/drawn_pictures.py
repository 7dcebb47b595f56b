"""Measures of whether a picture is drawn, as documents and screens are, or photographed."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching.differences.color_transfer import largest, luma
from core.matching.regions.overlay import Flags, Floats

_BLOCK = 16
"""Side of a block in pixels."""
_FLAT = 0.12
"""Share of exactly flat pixels from which a block is drawn."""
_TEXTURE = 6.0
"""Grey levels of deviation from which a block shows something."""
_PLAIN = 1.5
"""Grey levels of deviation under which a block of the picture is plain, as a bar or cut-out is."""
_ALIKE = 0.7
"""Correlation from which two blocks show the same."""
_WHOLE = 0.9
_PAPER = 0.2
"""Share of a block in the commonest colour from which it is print on paper, not photographed."""
_LIGHT, _EVEN = 128.0, 0.05
"""Grey level, or share of flat pixels, from which the commonest colour may be paper. Measured: that
of 36 kinds of drawn pictures is flat by 0.11 at least, also at JPEG 40, photographed sky at night
by 0.001; scanned paper need not be flat."""
_INK = 20.0
"""Grey levels of any channel within which two colours are one ink."""
_EDGE = 25.0
"""Range in grey levels of 3 x 3 pixels under which there is no edge. Measured, at the 98th
percentile: a clock blurred by motion 12; 36 kinds of drawn pictures 46 at least."""
_EVERY, _FEW = 7, 0.93
"""Every how many pixels colours are sampled, and the share that three of them make up."""


class PhotographedShare(Struct, frozen=True):
    """Blocks with photographed texture, as shares of the overlap."""

    all: float = 0.0
    """Blocks in which the original shows photographed texture, and the picture anything."""
    alike: float = 0.0
    """Blocks of these in which the picture shows the same."""


def local_range(plane: Floats, side: int = 3) -> Floats:
    """Return the range of levels in the square around each pixel, channel by channel."""
    kernel = np.ones((side, side), np.uint8)
    return np.asarray(cv2.dilate(plane, kernel) - cv2.erode(plane, kernel), np.float32)


def flatness(pixels: NDArray[np.uint8] | Floats) -> float:
    """Return the share of pixels equal to their neighbours: a sensor leaves noise, drawing none."""
    return float((local_range(luma(pixels.astype(np.float32))) < 1.1).mean())  # noqa: PLR2004


def soft(pixels: NDArray[np.uint8]) -> bool:
    """Return whether hardly anything in a picture has an edge: drawing has, a blurred photo not."""
    return float(np.percentile(local_range(luma(pixels.astype(np.float32))), 98)) < _EDGE


def few_colours(plane: Floats, mask: Flags) -> bool:
    """Return whether nearly all of a picture has one of three colours."""
    return inks(plane[mask][::_EVERY])[1] >= _FEW


def inks(colours: Floats) -> tuple[float, float]:
    """Return the shares of (n, 3) colours near the commonest one, and near the first three."""
    shares = [0.0]
    rest = colours
    for _ in range(3):
        if not len(rest):
            break
        red, green, blue = (rest.T / 16).astype(np.int32).clip(0, 15)
        bins = red << 8 | green << 4 | blue
        mode = rest[bins == np.bincount(bins).argmax()].mean(axis=0)
        near = largest(np.abs(rest - mode)) < _INK
        shares.append(float(near.sum()) / len(colours))
        rest = rest[~near]
    return max(shares), sum(shares)


def photographed(original: Floats, lit: Floats, picture: Floats, mask: Flags) -> PhotographedShare:
    """Measure how much of the overlap is photographed, and how much of that is alike.

    `original` as it is, since light that is fitted leaves no flat ground; (h, w, 3) planes.
    """
    grey = luma(original)
    even = local_range(grey) < 1.6  # noqa: PLR2004
    flat = _means(even.astype(np.float32))
    whole = _means(mask.astype(np.float32)) > _WHOLE
    first, second = luma(lit), luma(picture)
    one, other = _means(first), _means(second)
    power = _means(first * first) - one * one
    over = _means(second * second) - other * other
    both = _means(first * second) - one * other
    texture = np.sqrt(np.maximum(_means(grey * grey) - _means(grey) ** 2, 0))
    left = (over > _PLAIN**2) & (_means(_paper(original, even, mask)) < _PAPER)
    shown = whole & left & (flat < _FLAT) & (texture > _TEXTURE)
    alike = shown & (both > _ALIKE * np.sqrt(np.maximum(power * over, 1e-3)))
    total = max(1, int(whole.sum()))
    return PhotographedShare(float(shown.sum() / total), float(alike.sum() / total))


def _paper(original: Floats, even: Flags, mask: Flags) -> Floats:
    """Mark the commonest colour: paper that is seen between strokes of print, (h, w).

    No pixel where it is dark and hardly ever `even`: photographed sky at night is no paper.
    """
    colours = original[mask][::_EVERY]
    bins = (colours / 16).astype(int).clip(0, 15) @ np.array([256, 16, 1])
    mode = colours[bins == np.bincount(bins).argmax()].mean(axis=0)
    near = largest(np.abs(original - mode)) < _INK
    paper = float(luma(mode)) >= _LIGHT or even[near & mask].mean() >= _EVEN
    return np.asarray(near & paper, np.float32)


def _means(plane: Floats) -> Floats:
    """Return the means of blocks of a plane; what is left at its end is dropped."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    whole = plane[: rows * _BLOCK, : columns * _BLOCK]
    return np.asarray(whole.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)))
