"""Comparison of the pixels of two aligned pictures, after light and sharpness are fitted."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.matching import color_transfer, difference_regions, overlay, sharpness
from core.matching.color_change import Colours, measure_colours
from core.matching.color_transfer import luma
from core.matching.difference_regions import Region, flatness
from core.matching.homography import Map
from core.matching.overlay import Flow, Overlay
from core.types import Pixels

GRID = 448
"""Long side of the overlap when compared, in pixels."""
_SAME = 0.2
"""Share of the overlap that suffices to measure light and colours only where nothing differs."""
_RIM = np.ones((7, 7), np.uint8)
"""Erosion of the overlap: resampling and JPEG leave traces at rims."""
_SOFT = 0.7
"""Blur before pixels are compared, in pixels."""


class Measurement(Struct, frozen=True, kw_only=True):
    """Numbers of a comparison of pixels on which the rule of `relation` decides."""

    regions: tuple[Region, ...]
    """Most telling first."""
    noise: float
    """Median difference of pixels in grey levels: the pair's own noise."""
    flat_original: float
    """Share of the original that is drawn, not photographed."""
    flat_picture: float
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
    lit, field = color_transfer.relight(laid.original, laid.picture, laid.mask)
    first, second, sharp = sharpness.equalize(lit, laid.picture, laid.mask)
    lit, picture = (cv2.GaussianBlur(x, (0, 0), _SOFT).astype(np.float32) for x in (first, second))
    noise = float(np.median(np.abs(picture - lit).max(axis=2)[laid.mask]))
    regions, same = difference_regions.find(laid, lit, picture, noise, original)
    if same.sum() < _SAME * laid.mask.sum():
        same = laid.mask
    here, there = luma(laid.original)[same], luma(laid.picture)[same]
    return Measurement(
        regions=tuple(sorted(regions, key=lambda r: -r.area * r.strength)),
        noise=noise,
        flat_original=flatness(original),
        flat_picture=flatness(query),
        light=float(np.std(field[laid.mask])),
        brightness=float(there.mean() - here.mean()),
        contrast=float((there.std() + 1) / (here.std() + 1)),
        sharpness=sharp,
        colours=measure_colours(laid.original, laid.picture, same),
        seen=laid.seen,
        filled=laid.filled,
    )


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
