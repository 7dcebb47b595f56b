"""Comparison of print: whether strokes of letters and digits are the same in two drawn pictures.

Between strokes a pixel finds both ink and paper within reach, so that a comparison of levels that
forgives a misfit forgives another digit, too; the correlation of small windows does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching.differences.color_transfer import luma
from core.matching.differences.drawn_pictures import local_range
from core.matching.regions.overlay import Flags, Floats

_WINDOW = 9
"""Side of a window in pixels: about one letter of small print."""
_SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Shifts in pixels that a misfit of the map may have; the best one counts."""
_BROAD = 3.0
"""Deviation in pixels of the blur that is taken away: strokes stay, grounds go."""
_INK = 30.0
"""Range in grey levels of 5 x 5 pixels from which there is print."""
_POWER = 36.0
"""Variance in squared grey levels of the strokes that both windows have at least."""
_OTHER = 0.5
"""Correlation under which two windows show other print. Measured on print of 8 kinds: no window
of 216 re-encoded, resized, tinted or cropped copies falls under it, and 200 to 5,000 pixels of
other instances do."""
_DOUBTFUL, _TIMES = 0.72, 7.0
"""Correlation, and distance from 1 as a multiple of the pair's median distance, beyond which print
may be other: strokes of 3 pixels of other receipts reach 0.63 to 0.68, copies 0.85 to 0.99."""


class PrintComparison(Struct, frozen=True):
    """Places where two drawn pictures show other print."""

    other: NDArray[np.uint8]
    """(h, w): 1 in windows with other strokes."""
    doubtful: int
    """Pixels of the largest group of windows that disagree, though not enough to be other."""


def compare_print(lit: Floats, picture: Floats, mask: Flags) -> PrintComparison:
    """Compare the strokes of two planes of equal light and sharpness, (h, w, 3)."""
    first, second = luma(lit), luma(picture)
    inked = np.maximum(local_range(first, 5), local_range(second, 5))
    here, there = (z - cv2.GaussianBlur(z, (0, 0), _BROAD) for z in (first, second))
    side = (_WINDOW, _WINDOW)
    one, other = cv2.blur(here * here, side), cv2.blur(there * there, side)
    correlation = np.full(mask.shape, -1, np.float32)
    for x, y in _SHIFTS:
        there_too, power = (np.roll(plane, (y, x), axis=(0, 1)) for plane in (there, other))
        alike = cv2.blur(here * there_too, side) / np.sqrt(np.maximum(one * power, 1e-3))
        correlation = np.maximum(correlation, alike)
    stroked = mask & (inked > _INK) & (np.minimum(one, other) > _POWER)
    if not stroked.any():
        return PrintComparison(np.zeros(mask.shape, np.uint8), 0)
    usual = 1 - float(np.median(correlation[stroked]))
    least = min(_DOUBTFUL, 1 - _TIMES * usual)
    different = (stroked & (correlation < _OTHER)).astype(np.uint8)
    doubtful = (stroked & (correlation < least)).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(doubtful, connectivity=8)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    return PrintComparison(different, largest)
