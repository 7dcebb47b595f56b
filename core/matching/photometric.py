"""Light change between two aligned pictures: a line for grey, a factor for colour."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

_EVERY = 4
"""Pixels per side that a sample averages: noise and small misfits would flatten the line."""
_WHOLE = 0.99
"""Share of a sample that must be inside both pictures."""
_FEW = 50
"""Samples under which the light is assumed to be the same."""
_ROUNDS = 5
_NEAR = 12.0
"""Grey levels of difference at which a sample has half its weight: an overlay must not bend the
line."""
_DARK, _BRIGHT = 4.0, 250.0
"""Levels beyond which a pixel is clipped and follows no line."""


class LightChange(Struct, frozen=True):
    """Line for grey and factor for colour: brightness, contrast, saturation of the picture."""

    gain: float = 1.0
    offset: float = 0.0
    """Offset of the line in grey levels."""
    saturation: float = 1.0
    """Saturation of the picture, as a multiple of the original's; 0: it is grey."""

    def expected(self, original: Floats) -> Floats:
        """Predict the original's pixels in this light, clipped as a file clips them."""
        lit = original * np.float32(self.gain) + np.float32(self.offset)
        return np.asarray(np.clip(lit, 0.0, 255.0), np.float32)


def fit(original: Floats, picture: Floats, mask: Floats) -> LightChange:
    """Fit the light that most pixels agree on; (h, w, 3) float32 planes and where both are."""
    size = max(1, mask.shape[1] // _EVERY), max(1, mask.shape[0] // _EVERY)
    x, y = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (original, picture))
    valid = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > _WHOLE
    valid &= (y.max(axis=2) < _BRIGHT) & (y.min(axis=2) > _DARK)
    valid &= (x.max(axis=2) < _BRIGHT) & (x.min(axis=2) > _DARK)
    if int(valid.sum()) < _FEW:
        return LightChange()
    x, y = x[valid], y[valid]
    first, second = x.mean(axis=1), y.mean(axis=1)
    gain, offset = 1.0, float(np.median(second - first))
    for _ in range(_ROUNDS):
        error = second - gain * first - offset
        weight = 1.0 / (1.0 + (error / _NEAR) ** 2)
        total = float(weight.sum())
        mx, my = float(weight @ first) / total, float(weight @ second) / total
        spread = first - mx
        power = float(weight @ (spread * spread))
        if power < total:  # less than one level of variation: no line, only a shift
            gain, offset = 1.0, my - mx
            break
        gain = min(2.5, max(0.4, float(weight @ (spread * (second - my))) / power))
        offset = my - gain * mx
    here, there = x - first[:, None], y - second[:, None]
    weight = 1.0 / (1.0 + ((second - gain * first - offset) / _NEAR) ** 2)
    power = float(weight @ (here * here).sum(axis=1))
    saturation = float(weight @ (here * there).sum(axis=1)) / power if power > 0 else gain
    return LightChange(gain=gain, offset=offset, saturation=saturation)
