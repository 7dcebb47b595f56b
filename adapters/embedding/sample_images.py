"""Generated pictures to try a model on: plain, busy, bright, dark and coloured ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256


def pictures() -> list[Image.Image]:
    """Make eight very different RGB pictures of 256 x 256, always the same ones."""
    random = np.random.default_rng(20)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    disc = np.sign(0.25 - np.hypot(x - 0.4, y - 0.6))
    lines = np.sign(np.sin(100 * y)) * random.integers(0, 2, (SIDE, SIDE))
    made = [
        random.uniform(0, 255, (SIDE, SIDE, 3)),
        np.dstack([255 * x, 120 + 80 * y, 255 * (1 - x)]),
        np.dstack([120 + 110 * disc, 40 + 10 * disc, 30 - 20 * disc]),
        np.dstack([255 - 235 * lines] * 3),
        np.dstack([128 + 127 * np.sign(np.sin(40 * x) * np.sin(40 * y))] * 3),
        _clouds(random, 5) * (0.3, 0.6, 1.0),
        _clouds(random, 40) * (0.5, 1.0, 0.3),
        np.full((SIDE, SIDE, 3), 245.0),
    ]
    return [Image.fromarray(picture.clip(0, 255).astype(np.uint8)) for picture in made]


def _clouds(random: np.random.Generator, cells: int) -> NDArray[np.float64]:
    coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)


TEXTS = ("a photo of a cat", "blue sky over a mountain lake", "receipt")
