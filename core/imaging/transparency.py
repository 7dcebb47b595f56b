"""Ground that a picture with transparency is laid on: white, else black, else grey."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from core.imaging.bands import bands

_GROUNDS = (255, 0, 128)
"""Grey levels of the grounds, in the order in which they are tried."""
WHITE = _GROUNDS[0]
_CLEAR = 32
"""Alpha below which a pixel belongs to the ground; fainter ones are edges and shadows."""
_NEAR = 24
"""Grey levels from the ground within which a drawing is nearly invisible: a tenth of the range."""
_OUTLINE = 7
"""Width in pixels of the window in which a drawn pixel next to the ground counts as outline."""
_LOST = 0.25
"""Share of the outline that may vanish on a ground. A drawing in the ground's colour loses all of
it; the highlights of a photo cut out of its background lose little."""
_FEW = 0.02
"""Share of the outline that may vanish on black or grey before the picture counts as hiding it."""
_SAMPLED = 1024
"""Long side of the sample of pixels in which the outline is measured."""


class Ground(NamedTuple):
    """Grey level of a ground, and whether something drawn vanishes on it all the same."""

    level: int = WHITE
    hides: bool = False


def choose(image: Image.Image) -> Ground:
    """Choose the ground on which the outline of a drawing shows: white, else black, else grey.

    Where none shows enough of it, the one that loses least is taken.
    """
    if not image.has_transparency_data or image.mode.startswith(("I", "F")):
        return Ground()
    if image.mode in ("RGBA", "LA") and not any(image.getchannel("A").histogram()[:_CLEAR]):
        return Ground()  # no ground is clear, as in most screenshots
    lost = _lost(image)
    level = next((one for one in _GROUNDS if lost[one] <= _LOST), min(lost, key=lost.__getitem__))
    return Ground(level, _hides(image) if level == WHITE else lost[level] > _FEW)


def over(band: Image.Image, level: int) -> Image.Image:
    """Lay a picture of any mode over a grey level; return it as RGB."""
    seen = band.convert("RGBA")
    ground = Image.new("RGB", band.size, (level, level, level))
    ground.paste(seen, mask=seen.getchannel("A"))
    return ground


def _lost(image: Image.Image) -> dict[int, float]:
    """Return the share of the outline that vanishes on each ground, weighted by its alpha."""
    scale = min(1.0, _SAMPLED / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    sample = image if size == image.size else image.resize(size, Image.Resampling.NEAREST)
    seen = np.asarray(sample.convert("RGBA"))
    alpha = seen[..., 3]
    beside = cv2.dilate((alpha < _CLEAR).astype(np.uint8), np.ones((_OUTLINE, _OUTLINE), np.uint8))
    outline = (alpha >= _CLEAR) & (beside > 0)
    colours, weights = seen[outline][:, :3].astype(np.int16), alpha[outline].astype(np.float64)
    if not weights.size:
        return dict.fromkeys(_GROUNDS, 0.0)
    near = {one: (np.abs(colours - one) < _NEAR).all(axis=1) for one in _GROUNDS}
    return {one: float(weights[near[one]].sum() / weights.sum()) for one in _GROUNDS}


def _hides(image: Image.Image) -> bool:
    """Return whether any pixel of a drawing on a clear ground is as white as the white below it."""
    clear = drawn = False
    for band in bands(image, 1):
        seen = np.asarray(band.convert("RGBA"))
        alpha = seen[..., 3]
        over_white = 255 - (255 - seen[..., :3].min(axis=2).astype(np.uint16)) * alpha // 255
        clear = clear or bool((alpha < _CLEAR).any())
        drawn = drawn or bool(((alpha >= _CLEAR) & (over_white > WHITE - _NEAR)).any())
        if clear and drawn:
            return True
    return False
