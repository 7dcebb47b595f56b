"""Regions in which two aligned pictures differ by more than light and noise explain."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching.color_transfer import luma
from core.matching.homography import Size
from core.matching.overlay import Flags, Floats, Overlay
from core.types import Box

_REACH = 5
"""Side of the neighbourhood in whose range a pixel must lie: a misfit of two pixels is none."""
_LEVEL, _TIMES = 9.0, 2.2
"""Grey levels, and multiple of the pair's noise, above which a pixel differs."""
_NEAR = 7
"""Side of the dilation that joins pixels to one region."""
_LEAST, _SHARE = 12, 0.00006
"""Pixels, and share of the overlap, that a region has at least."""
_INK = 24.0
"""Grey levels of any channel within which two colours are one ink."""
_EVIDENCE = 140.0
"""Least strength times the square root of the pixels."""


class Region(Struct, frozen=True, kw_only=True):
    """Connected pixels that differ by more than light, sharpness and noise explain."""

    box: Box
    """Bounds in shares of the original's width and height."""
    area: float
    """Share of the overlap that differs."""
    strength: float
    """Mean difference in grey levels, beyond the range of the neighbourhood."""
    chroma: float
    """Mean difference of colour alone, in grey levels."""
    correlation: float
    """Correlation of grey around the pixels that differ, -1 to 1: structure that both share."""
    through: float
    """Correlation of grey at the pixels that differ alone: high where a veil is seen through."""
    lighter: float
    """Share of the pixels that are lighter than in the original."""
    flat_original: float
    """Share of the box in which the original is as flat as only drawn ground is."""
    flat_picture: float
    plain: float
    """Share of the pixels that differ in which the picture has one colour."""
    inks: float
    """Share of the pixels that differ in which it has one of two colours, as drawing has."""
    evidence: float
    """Strength times the square root of the number of pixels that differ."""
    fill: float
    """Share of the box that differs."""
    palette: float
    """Intersection of the two colour histograms of the box, 0 to 1."""
    sides: int
    """Sides of the overlap that the region touches."""


def _excess(lit: Floats, picture: Floats) -> Floats:
    """Return by how much each pixel leaves the range of the other's neighbourhood, (h, w)."""
    kernel = np.ones((_REACH, _REACH), np.uint8)
    far = np.zeros_like(lit)
    for one, other in ((lit, picture), (picture, lit)):
        low, high = cv2.erode(other, kernel), cv2.dilate(other, kernel)
        far = np.maximum(far, np.maximum(low - one, one - high))
    return np.asarray(far.max(axis=2))


def find(
    laid: Overlay, lit: Floats, picture: Floats, noise: float, size: Size
) -> tuple[list[Region], Flags]:
    """Find the regions in which the picture differs from the original in its light.

    The second value is the (h, w) part of the mask that is not near any pixel that differs.
    `lit` and `picture` are (h, w, 3) planes of equal sharpness, `noise` their median difference,
    `size` width and height of the original's preview.
    """
    excess = _excess(lit, picture) * laid.mask
    different = (excess > max(_LEVEL, _TIMES * noise)).astype(np.uint8)
    opened = cv2.morphologyEx(different, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    joined = cv2.dilate(opened, np.ones((_NEAR, _NEAR), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    total = int(laid.mask.sum())
    found = []
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label, :4])
        window = np.s_[y : y + height, x : x + width]
        core = (labels[window] == label) & (opened[window] > 0)
        pixels = int(core.sum())
        if pixels < max(_LEAST, _SHARE * total):
            continue
        strength = float(excess[window][core].mean())
        if strength * pixels**0.5 < _EVIDENCE:
            continue
        found.append(_region(laid, lit, picture, window, core, strength, size))
    return found, laid.mask & (joined == 0)


def _region(  # noqa: PLR0917 - private, one caller
    laid: Overlay,
    lit: Floats,
    picture: Floats,
    window: tuple[slice, slice],
    core: Flags,
    strength: float,
    size: Size,
) -> Region:
    here, there = lit[window], picture[window]
    grey, other = luma(here), luma(there)
    colour = np.abs((there - other[..., None]) - (here - grey[..., None])).max(axis=2)
    around = cv2.dilate(core.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    before, after = laid.original[window], laid.picture[window]
    pixels = int(core.sum())
    plain, inks = _inks(after[core])
    return Region(
        box=_box(laid, window, core, size),
        area=pixels / int(laid.mask.sum()),
        strength=strength,
        chroma=float(colour[core].mean()),
        correlation=_correlation(grey[around], other[around]),
        through=_correlation(grey[core], other[core]),
        lighter=float((other > grey)[core].mean()),
        flat_original=flatness(before),
        flat_picture=flatness(after),
        plain=plain,
        inks=inks,
        evidence=strength * pixels**0.5,
        fill=pixels / core.size,
        palette=_palette(before, after),
        sides=_sides(laid.mask, window),
    )


def _inks(colours: Floats) -> tuple[float, float]:
    """Return the shares of (n, 3) colours near the commonest one, and near the first two."""
    shares = []
    rest = colours
    for _ in range(2):
        if not len(rest):
            break
        bins = (rest / 16).astype(int).clip(0, 15) @ np.array([256, 16, 1])
        mode = rest[bins == np.bincount(bins).argmax()].mean(axis=0)
        near = np.abs(rest - mode).max(axis=1) < _INK
        shares.append(float(near.sum()) / len(colours))
        rest = rest[~near]
    return shares[0], sum(shares)


def _box(laid: Overlay, window: tuple[slice, slice], core: Flags, size: Size) -> Box:
    """Return the bounds of the pixels that differ; one near an edge of the original reaches it."""
    bounds = []
    for axis in (1, 0):
        side = 1 - axis
        low, length = laid.box[side] / size[side], laid.box[side + 2] / size[side]
        step = length / laid.mask.shape[axis]
        at = np.flatnonzero(core.any(axis=side)) + window[axis].start
        start, stop = low + step * float(at[0]), low + step * float(at[-1] + 1)
        start = 0.0 if start < _NEAR * step else start
        stop = 1.0 if stop > 1 - _NEAR * step else stop
        bounds.append((start, stop - start))
    (x, width), (y, height) = bounds
    return Box(x=round(x, 4), y=round(y, 4), width=round(width, 4), height=round(height, 4))


def _sides(mask: Flags, window: tuple[slice, slice]) -> int:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    near = _NEAR
    return (
        int(window[0].start <= rows[0] + near)
        + int(window[0].stop >= rows[-1] - near)
        + int(window[1].start <= columns[0] + near)
        + int(window[1].stop >= columns[-1] - near)
    )


def _correlation(first: Floats, second: Floats) -> float:
    """Correlate grey levels; 0 where either is flat."""
    if first.std() <= 2 or second.std() <= 2:  # noqa: PLR2004 - noise of compression
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def flatness(pixels: NDArray[np.uint8] | Floats) -> float:
    """Return the share of pixels equal to their neighbours: a sensor leaves noise, drawing none."""
    grey = luma(pixels.astype(np.float32))
    kernel = np.ones((3, 3), np.uint8)
    return float((cv2.dilate(grey, kernel) - cv2.erode(grey, kernel) < 1.1).mean())  # noqa: PLR2004


def _palette(first: Floats, second: Floats) -> float:
    """Return the intersection of coarse colour histograms: six levels a channel."""
    shares = []
    for plane in (first, second):
        bins = (plane / 43).astype(int).clip(0, 5) @ np.array([36, 6, 1])
        shares.append(np.bincount(bins.ravel(), minlength=216) / bins.size)
    return float(np.minimum(*shares).sum())
