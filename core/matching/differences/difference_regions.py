"""Regions in which two aligned pictures differ by more than light and noise explain."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from core.evidence import Box
from core.matching.differences.color_transfer import largest, luma
from core.matching.differences.drawn_pictures import inks, local_range
from core.matching.regions.homography import Size
from core.matching.regions.overlay import Flags, Floats, Overlay

Bits = NDArray[np.uint8]
"""(h, w) of 0 and 1."""

_REACH = 5
"""Side of the neighbourhood in whose range a pixel must lie: a misfit of two pixels is none."""
_LEVEL, _TIMES = 9.0, 2.2
"""Grey levels, and multiple of the pair's noise, above which a pixel differs."""
_NEAR = 7
"""Side of the dilation that joins pixels to one region."""
_LEAST, _SHARE = 12, 0.00006
"""Pixels, and share of the overlap, that a region has at least."""
_FINE = 2.5
"""Deviation in pixels of the blur that leaves fine texture when taken away."""
STROKE = 13
"""Pixels from which something is wider than a stroke of letters or of a pen."""
_STEP = 25.0
"""Grey levels by which a step at a rim exceeds the original's there, if something has an edge."""
_FLAT = 4.0
"""Range in grey levels of 3 x 3 pixels under which drawing is flat, after compression."""
_FADED_SIDE = 15
"""Side of the neighbourhood in which fine texture is measured, in pixels."""
_FADED_TEXTURE, _FADED = 2.0, 0.4
"""Grey levels of fine texture that can be lost, and the share that is left where it was."""
_FADED_SHARE = 0.01
"""Share of the overlap that lost its texture at least."""
_EVIDENCE = 140.0
"""Least strength times the square root of the pixels."""
_MOST = 128
"""Regions of one sort that are measured at most, those of most evidence: other print on a page of
1,600 pixels has a thousand."""


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
    fine: float
    """Correlation of fine texture at these pixels: high where only light differs."""
    texture: float
    """Standard deviation of the original's fine texture there, in grey levels."""
    plain: float
    """Share of the pixels that differ in which the picture has one colour."""
    inks: float
    """Share of them in which it has one of three colours, as drawing has; rims are left out."""
    evidence: float
    """Strength times the square root of the number of pixels that differ."""
    fill: float
    """Share of the box that differs."""
    middle: float
    """Share of the inner half of its box that differs."""
    sides: tuple[int, int]
    """Sides of the overlap that the region touches: of top and bottom, and of left and right."""
    thick: float
    """Share of the pixels that differ in patches wider than strokes of letters are."""
    edged: float
    """Share of its rim at which the picture has a step that the original has not."""
    flat: float
    """Share of its inside in which the picture is flat, as drawing is."""
    faded: bool = False
    """Whether it lost its fine texture, as a blurred face does, and need not differ otherwise."""
    printed: bool = False
    """Whether it is other print, which need not be strong in levels."""


class Veil(Struct, frozen=True):
    """All pixels that differ, as one: a watermark is lighter throughout and seen through."""

    area: float = 0.0
    """Share of the overlap that differs."""
    lighter: float = 0.0
    """Share of these pixels that are lighter than in the original."""
    through: float = 0.0
    """Correlation of their grey with the original's: high where it is seen through."""
    spread: float = 0.0
    """Share of the overlap within their bounds."""


class FoundRegions(Struct, frozen=True):
    """Regions that differ, most telling first, and the rest."""

    regions: tuple[Region, ...]
    beyond: float
    """Share of the overlap in regions of other print that are too many to be measured."""
    same: Flags
    """(h, w): inside both pictures, and not near any pixel that differs."""
    veil: Veil


class _Pair(Struct, frozen=True):
    """Two planes of equal light and sharpness, (h, w, 3), and how far they differ."""

    laid: Overlay
    lit: Floats
    picture: Floats
    excess: Floats
    """(h, w): grey levels beyond the range of the neighbourhood; 0 outside of the overlap."""
    size: Size
    """Width and height of the original's preview."""
    pixels: int
    """Pixels of the overlap."""
    bounds: tuple[tuple[int, int], tuple[int, int]]
    """First and last row, and first and last column, of the overlap."""


def excess(lit: Floats, picture: Floats) -> Floats:
    """Return by how much each pixel leaves the range of the other's neighbourhood, (h, w)."""
    kernel = np.ones((_REACH, _REACH), np.uint8)
    far, reach = np.zeros_like(lit), np.empty_like(lit)
    for one, other in ((lit, picture), (picture, lit)):
        cv2.erode(other, kernel, dst=reach)
        cv2.max(far, cv2.subtract(reach, one, dst=reach), dst=far)
        cv2.dilate(other, kernel, dst=reach)
        cv2.max(far, cv2.subtract(one, reach, dst=reach), dst=far)
    return largest(far)


def find(  # noqa: PLR0917 - private to the comparison of pixels
    laid: Overlay,
    lit: Floats,
    picture: Floats,
    noise: float,
    size: Size,
    printed: Bits | None = None,
) -> FoundRegions:
    """Find the regions in which the picture differs from the original in its light.

    `lit` and `picture` are (h, w, 3) planes of equal sharpness, `noise` their median difference,
    `size` width and height of the original's preview. `printed` marks windows of other print in
    drawn pictures; without it, places are looked for that lost their fine texture.
    """
    pair = _pair(laid, lit, picture, size)
    different = (pair.excess > max(_LEVEL, _TIMES * noise)).astype(np.uint8)
    opened = morphed(different, cv2.MORPH_OPEN, 2)
    joined = morphed(opened, cv2.MORPH_DILATE, _NEAR)
    regions, _ = _connected(pair, opened, joined, _SHARE, _EVIDENCE)
    beyond = 0.0
    if printed is None:
        faded = _faded(laid.mask, lit, picture, joined)
        found, _ = _connected(pair, faded, faded, _FADED_SHARE)
        regions += [replace(r, faded=True) for r in found]
    else:
        near = morphed(printed, cv2.MORPH_DILATE, _NEAR)
        found, beyond = _connected(pair, printed, near)
        regions += [replace(r, printed=True) for r in found]
    regions.sort(key=lambda region: -region.area * (1.0 + region.strength))
    same = laid.mask & (joined == 0)
    return FoundRegions(tuple(regions), beyond, same, _veil(laid.mask, lit, picture, opened > 0))


def _pair(laid: Overlay, lit: Floats, picture: Floats, size: Size) -> _Pair:
    rows, columns = (np.flatnonzero(laid.mask.any(axis=axis)) for axis in (1, 0))
    return _Pair(
        laid,
        lit,
        picture,
        excess(lit, picture) * laid.mask,
        size,
        int(laid.mask.sum()),
        ((int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))),
    )


def _connected(
    pair: _Pair, cores: Bits, joined: Bits, share: float = 0.0, evidence: float = 0.0
) -> tuple[list[Region], float]:
    """Describe the connected parts of `joined` by the pixels of `cores` in them.

    Parts under a share of the overlap, or under an amount of evidence, are left out. Return also
    the share of the overlap in parts beyond the most that are measured.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    inside = cores > 0
    pixels = np.bincount(labels[inside], minlength=count)
    pixels[0] = 0
    total = np.bincount(labels[inside], pair.excess[inside], minlength=count)
    strength = total / np.maximum(pixels, 1)
    telling = strength * np.sqrt(pixels)
    kept = (pixels >= max(_LEAST, share * pair.pixels)) & (telling >= evidence)
    order = np.flatnonzero(kept)[np.argsort(-telling[kept], kind="stable")]
    found = []
    for label in order[:_MOST].tolist():
        x, y, width, height = (int(value) for value in stats[label, :4])
        window = np.s_[y : y + height, x : x + width]
        core = (labels[window] == label) & inside[window]
        found.append(_region(pair, window, core, float(strength[label])))
    return found, float(pixels[order[_MOST:]].sum() / pair.pixels)


def _faded(mask: Flags, lit: Floats, picture: Floats, known: Bits) -> Bits:
    """Mark where fine texture was lost that the rest of the picture kept, (h, w).

    Patches that differ otherwise are left out.
    """
    first, second = (
        np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2)) for grey in (luma(lit), luma(picture))
    )
    side = (_FADED_SIDE, _FADED_SIDE)
    before, after = cv2.blur(first, side), cv2.blur(second, side)
    textured = mask & (before > _FADED_TEXTURE)
    if not textured.any():
        return np.zeros(mask.shape, np.uint8)
    usual = min(1.0, float(np.median(after[textured] / before[textured])))
    lost = (textured & (after < _FADED * usual * before)).astype(np.uint8)
    lost = morphed(lost, cv2.MORPH_CLOSE, _FADED_SIDE)
    lost[morphed(known, cv2.MORPH_CLOSE, _FADED_SIDE) > 0] = 0
    return morphed(lost, cv2.MORPH_OPEN, _FADED_SIDE)


def morphed(plane: Bits, operation: int, side: int) -> Bits:
    """Apply a morphological operation with a square kernel of a side in pixels, (h, w)."""
    return np.asarray(cv2.morphologyEx(plane, operation, np.ones((side, side), np.uint8)), np.uint8)


def _veil(mask: Flags, lit: Floats, picture: Floats, core: Flags) -> Veil:
    if core.sum() < _LEAST:
        return Veil()
    grey, other = luma(lit)[core], luma(picture)[core]
    rows, columns = np.nonzero(core)
    spread = float(np.ptp(rows) + 1) * float(np.ptp(columns) + 1) / core.size
    return Veil(
        area=float(core.sum() / mask.sum()),
        lighter=float((other > grey).mean()),
        through=_correlation(grey, other),
        spread=spread,
    )


def _region(pair: _Pair, window: tuple[slice, slice], core: Flags, strength: float) -> Region:
    here, there = pair.lit[window], pair.picture[window]
    grey, other = luma(here), luma(there)
    rough, smooth = (z - cv2.GaussianBlur(z, (0, 0), _FINE) for z in (grey, other))
    colour = largest(np.abs((there - other[..., None]) - (here - grey[..., None])))
    around = cv2.dilate(core.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    after = pair.laid.picture[window]
    pixels = int(core.sum())
    whole = core.astype(np.uint8)
    inner = cv2.erode(whole, np.ones((5, 5), np.uint8), borderValue=1) > 0
    inner = inner if inner.sum() >= _LEAST else core
    plain, three = inks(after[inner])
    thick = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((STROKE, STROKE), np.uint8))
    return Region(
        box=_box(pair, window, core),
        area=pixels / pair.pixels,
        strength=strength,
        chroma=float(colour[core].mean()),
        correlation=_correlation(grey[around], other[around]),
        fine=_correlation(rough[core], smooth[core], 0.5),
        texture=float(rough[core].std()),
        plain=plain,
        inks=three,
        evidence=strength * pixels**0.5,
        fill=pixels / core.size,
        middle=_middle(core),
        sides=_sides(pair, window),
        thick=float(thick.sum() / pixels),
        edged=_edged(here, after, whole, pair.laid.mask[window]),
        flat=float((local_range(luma(after))[inner] < _FLAT).mean()),
    )


def _edged(lit: Floats, picture: Floats, core: Bits, mask: Flags) -> float:
    """Return at how much of its rim inside the overlap a part has a step of its own.

    Matter laid over or pasted has an edge; matter painted out from around it has none.
    """
    filled = cv2.morphologyEx(core, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    wide, narrow = np.ones((_REACH, _REACH), np.uint8), np.ones((3, 3), np.uint8)
    rim = (cv2.dilate(filled, wide) > 0) & (cv2.erode(filled, narrow, borderValue=0) == 0)
    rim &= cv2.erode(mask.astype(np.uint8), wide) > 0
    own = largest(local_range(picture, _REACH)) > largest(local_range(lit, _REACH)) + _STEP
    return float(own[rim].mean()) if rim.any() else 1.0


def _box(pair: _Pair, window: tuple[slice, slice], core: Flags) -> Box:
    """Return the bounds of the pixels that differ; one near an edge of the original reaches it."""
    box, size, shape = pair.laid.box, pair.size, pair.laid.mask.shape
    bounds = []
    for axis in (1, 0):
        side = 1 - axis
        low, length = box[side] / size[side], box[side + 2] / size[side]
        step = length / shape[axis]
        at = np.flatnonzero(core.any(axis=side)) + window[axis].start
        start, stop = low + step * float(at[0]), low + step * float(at[-1] + 1)
        start = 0.0 if start < _NEAR * step else start
        stop = 1.0 if stop > 1 - _NEAR * step else stop
        bounds.append((start, stop - start))
    (x, width), (y, height) = bounds
    return Box(x=round(x, 4), y=round(y, 4), width=round(width, 4), height=round(height, 4))


def _middle(core: Flags) -> float:
    rows, columns = core.shape[0] // 4, core.shape[1] // 4
    return float(core[rows : core.shape[0] - rows, columns : core.shape[1] - columns].mean())


def _sides(pair: _Pair, window: tuple[slice, slice]) -> tuple[int, int]:
    """Count the sides that a window touches: top and bottom, left and right."""
    counts = []
    for part, (low, high) in zip(window, pair.bounds, strict=True):
        counts.append(int(part.start <= low + _NEAR) + int(part.stop >= high - _NEAR))
    return counts[0], counts[1]


def _correlation(first: Floats, second: Floats, least: float = 2.0) -> float:
    """Correlate grey levels; 0 where either is flat."""
    if first.std() <= least or second.std() <= least:  # noise of compression
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
