"""Generated pictures for comparisons of pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.types import Pixels

SIDE = 320
HERE = np.eye(3)
"""Homography of a picture that lies where its original does."""


def photo(seed: int = 1) -> Pixels:
    """Make soft coloured noise of several scales, as a sensor would leave it."""
    draw = np.random.default_rng(seed)
    made: NDArray[np.float32] = np.full((SIDE, SIDE, 3), 128, np.float32)
    for scale, height in ((40, 45), (14, 25), (4, 12), (1, 3)):
        coarse = draw.normal(0, height, (SIDE // scale + 2, SIDE // scale + 2, 3))
        made += cv2.resize(coarse.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(made, 0, 255).astype(np.uint8)


def page(*lines: str) -> Pixels:
    """Draw lines of print on white."""
    made = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for row, line in enumerate(lines):
        at = (20, 40 + 44 * row)
        cv2.putText(made, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (30, 30, 40), 2, cv2.LINE_AA)
    return made


def jpeg(pixels: Pixels, quality: int = 85) -> Pixels:
    """Compress and decode a picture."""
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
