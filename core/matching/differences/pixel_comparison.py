"""Comparison of the pixels of two aligned pictures, after light and sharpness are fitted."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.matching.differences import color_transfer, difference_regions, sharpness
from core.matching.differences.color_change import Colours, measure_colours
from core.matching.differences.color_transfer import largest, luma
from core.matching.differences.difference_regions import Region, Veil
from core.matching.differences.drawn_pictures import (
    PhotographedShare,
    few_colours,
    flatness,
    photographed,
    soft,
)
from core.matching.differences.own_contours import OwnContours, own_contours
from core.matching.differences.print_comparison import compare_print
from core.matching.regions import overlay
from core.matching.regions.homography import Map
from core.matching.regions.overlay import Flags, Floats, Flow, Overlay
from core.types import Pixels

GRID = 448
"""Long side of the overlap when compared, in pixels."""
_QUARTER = 2.3
"""Ratio of median to lower quartile of the distances that noise makes."""
_SAME = 0.2
"""Share of the overlap that suffices to measure light and colours only where nothing differs."""
_RIM = np.ones((7, 7), np.uint8)
"""Erosion of the overlap: resampling and JPEG leave traces at rims."""
_DRAWN = ((0.25, 0.3), (0.12, 0.05))
"""Share of flat pixels from which a picture is drawn, if blocks of photographed texture are under
the second share. Measured: documents and screens 0.6 to 0.9 and at most 0.25, patterned cards 0.18
and under 0.02; of 150 photos two are under the first bounds and none under the second."""
_BLURRED = 0.03
"""Share of such blocks from which a picture without edges is a blurred photo, and not drawn."""
_GROUNDED = 0.25
"""Share of flat pixels from which a picture has plain ground."""
_WINDOW = (17, 17)
"""Neighbourhood in which structure is compared, in pixels."""
_TEXTURE, _ALIKE = 6.0, 0.6
"""Grey levels by which it must vary, and correlation from which it is shared."""
_MOSTLY, _LEAST = 0.8, 0.05
"""Share of the texture above which all of the overlap decides about light, and share of the overlap
that suffices for it."""
_LARGE = 0.005
"""Share of the overlap in regions from which objects may be looked for."""
_SOFT = 0.7
"""Blur before pixels are compared, in pixels."""


class Measurement(Struct, frozen=True, kw_only=True):
    """Numbers of a comparison of pixels on which the rule of `relation` decides."""

    regions: tuple[Region, ...]
    """Most telling first."""
    beyond: float
    """Share of the overlap in regions of other print that are too many to be measured."""
    veil: Veil
    bent: bool
    """Whether a deformation was undone, which leaves misfits."""
    noise: float
    """Median difference of pixels in grey levels: the pair's own noise."""
    drawn: bool
    """Whether both are drawn, such as documents, screens, cards, logos."""
    grounded: bool
    """Whether both have flat ground, as drawn pictures and goods on white have."""
    reduced: bool
    """Whether the picture has three colours at most where the original has more, as fax has."""
    photographed: PhotographedShare
    own: OwnContours
    """Contours of objects that one of two photos shows alone; none where no region is large."""
    doubtful: int
    """Adjoining pixels of print that may be other print, in drawn pictures; at 448 pixels."""
    light: float
    """Standard deviation of the smooth light field: vignettes, glare, leaks."""
    brightness: float
    """Mean grey of the picture less that of the original."""
    contrast: float
    """Standard deviation of the picture's grey as a multiple of the original's."""
    sharpness: float
    """Fine texture of the picture as a multiple of the original's."""
    colours: Colours
    seen: float
    filled: float


def measure(
    query: Pixels, original: Pixels, homography: Map, flow: Flow | None
) -> Measurement | None:
    """Measure in what a picture differs from an original; None if the two hardly overlap."""
    grid = GRID if max(original.shape[:2]) <= 2 * GRID else max(original.shape[:2])
    laid = _laid(query, original, homography, flow, grid)
    if laid is None or not laid.mask.any():
        return None
    lit = color_transfer.relight(laid.original, laid.picture, _shared(laid))
    sharp = sharpness.equalize(lit, laid.picture, laid.mask)
    here, there = (cv2.GaussianBlur(plane, (0, 0), _SOFT).astype(np.float32) for plane in sharp)
    noise = _noise(largest(np.abs(there - here))[laid.mask])
    photo = photographed(laid.original, here, there, laid.mask)
    flat = flatness(original), flatness(query)
    drawn = _drawn(min(flat), photo.all, original)
    printed = compare_print(*sharp, laid.mask) if drawn else None
    other = None if printed is None else printed.other
    size = original.shape[1], original.shape[0]
    found = difference_regions.find(laid, here, there, noise, size, other)
    same = found.same if found.same.sum() >= _SAME * laid.mask.sum() else laid.mask
    before, after = luma(laid.original), luma(laid.picture)
    return Measurement(
        regions=found.regions,
        beyond=found.beyond,
        veil=found.veil,
        bent=flow is not None,
        noise=noise,
        drawn=drawn,
        grounded=min(flat) >= _GROUNDED,
        reduced=few_colours(laid.picture, laid.mask) and not few_colours(laid.original, laid.mask),
        photographed=photo,
        own=_own(here, there, laid.mask, () if drawn else found.regions),
        doubtful=round(printed.doubtful * GRID / max(laid.mask.shape)) if printed else 0,
        light=_unevenness(before, after, same),
        brightness=float(after[same].mean() - before[same].mean()),
        contrast=float((after[same].std() + 1) / (before[same].std() + 1)),
        sharpness=sharpness.ratio(lit, laid.picture, same),
        colours=measure_colours(laid.original, laid.picture, same),
        seen=laid.seen,
        filled=laid.filled,
    )


def _drawn(flat: float, photo: float, original: Pixels) -> bool:
    """Return whether two pictures are drawn: shares of flat pixels and photographed blocks."""
    if photo >= _BLURRED and soft(original):
        return False
    return any(flat >= least and photo < most for least, most in _DRAWN)


def _shared(laid: Overlay) -> Flags:
    """Return the pixels that decide about light: those whose structure both pictures share.

    All of the overlap, unless a good part of its texture is not shared: matter that covers a third
    of a picture would bend the fit, however robust it is.
    """
    here, there = (
        np.asarray(cv2.GaussianBlur(luma(plane), (0, 0), 1.0))
        for plane in (laid.original, laid.picture)
    )
    mean = [cv2.blur(plane, _WINDOW) for plane in (here, there)]
    power = [
        np.maximum(cv2.blur(plane * plane, _WINDOW) - middle * middle, 0.0)
        for plane, middle in zip((here, there), mean, strict=True)
    ]
    alike = np.abs(cv2.blur(here * there, _WINDOW) - mean[0] * mean[1]) / np.sqrt(
        power[0] * power[1] + 4.0
    )
    textured = laid.mask & (np.maximum(*power) > _TEXTURE * _TEXTURE)
    shared = textured & (alike > _ALIKE)
    if shared.sum() > _MOSTLY * textured.sum() or shared.sum() < _LEAST * laid.mask.sum():
        return laid.mask
    return np.asarray(shared)


def _own(lit: Floats, picture: Floats, mask: Flags, regions: Sequence[Region]) -> OwnContours:
    """Return the contours that either picture shows alone, if enough of a photo differs."""
    large = sum(region.area for region in regions) >= _LARGE
    return own_contours(lit, picture, mask) if large else OwnContours()


def _noise(far: Floats) -> float:
    """Return the median distance of pixels; of a half that agrees, if more than half do not."""
    quarter, middle = np.percentile(far, (25, 50))
    return float(min(middle, _QUARTER * quarter)) if quarter > 0 else float(middle)


def _laid(
    query: Pixels, original: Pixels, homography: Map, flow: Flow | None, grid: int
) -> Overlay | None:
    """Lay a picture on an original, without the rims of either."""
    laid = overlay.lay(query, original, homography, grid)
    if laid is None:
        return None
    laid = laid if flow is None else overlay.bent(laid, flow)
    mask = cv2.erode(
        laid.mask.astype(np.uint8), _RIM, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return replace(laid, mask=mask > 0)


def _unevenness(original: Floats, picture: Floats, mask: Flags) -> float:
    """Return the deviation over the picture of how much lighter it is, in grey levels.

    A tone curve is taken away first: contrast is no uneven light.
    """
    height, width = mask.shape
    size = max(8, width // 4), max(8, height // 4)
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    x, y = (cv2.resize(z, size, interpolation=cv2.INTER_AREA) for z in (original, picture))
    weight = inside > 0.9  # noqa: PLR2004 - nearly whole samples
    if weight.sum() < 100:  # noqa: PLR2004 - too few for a field
        return 0.0
    powers = np.stack([(x / 255) ** k for k in range(4)], axis=-1)
    curve, *_ = np.linalg.lstsq(powers[weight], y[weight], rcond=None)
    rest = np.where(weight, y - powers @ curve, 0).astype(np.float32)
    sigma = max(size) * 0.1
    total = cv2.GaussianBlur(weight.astype(np.float32), (0, 0), sigma) + 1e-3
    field = cv2.GaussianBlur(rest, (0, 0), sigma) / total
    return float(field[weight].std())
