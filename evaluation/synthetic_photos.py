"""Generated pictures that resemble photos: for tests, measurements, and collages.

Drawn from a seed alone, so that only code has to be distributed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_OCTAVES = 7
"""Octaves from blobs of 128 pixels down to grain of two: natural spectra fall as 1/f."""
_SHAPES = 28


def photo(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """Draw an RGB picture of `width` x `height` pixels with the look of a photo.

    Light falls unevenly, shapes of every size cover one another, each with its own texture. The
    same seed gives the same picture at any time; two seeds share nothing.
    """
    draw = np.random.default_rng(seed)
    canvas = _texture(draw, width, height, 42.0)
    for order in range(_SHAPES):
        reach = max(width, height) * (0.34 * 0.9**order + 0.03)
        mask = _shape(draw, width, height, reach)
        left, top, wide, high = cv2.boundingRect(mask)
        if not wide or not high:
            continue
        area = (slice(top, top + high), slice(left, left + wide))
        inside = mask[area].astype(np.float32)[:, :, None] / 255
        filled = _texture(draw, wide, high, float(draw.uniform(8, 30)))
        canvas[area] += (filled - canvas[area]) * inside
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    light: NDArray[np.float32] = rows * np.float32(draw.uniform(-0.3, 0.3))
    light = light + columns * np.float32(draw.uniform(-0.3, 0.3)) + np.float32(1)
    canvas *= light
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _texture(
    draw: np.random.Generator, width: int, height: int, strength: float
) -> NDArray[np.float32]:
    """Make (height, width, 3) float32 around one colour, rough at every scale."""
    slope = float(draw.uniform(1.2, 1.8))
    field = np.zeros((2, 2), np.float32)
    for octave in range(_OCTAVES, 0, -1):
        size = (-(-width >> octave) or 1, -(-height >> octave) or 1)
        field = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR).reshape(size[::-1])
        field += slope**octave * draw.standard_normal(size[::-1], dtype=np.float32)
    light = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    light -= light.mean()
    light = light * np.float32(strength / max(float(light.std()), 1e-3))
    colour = draw.uniform(45, 205) + draw.uniform(-40, 40, 3)
    tint = colour + draw.uniform(-20, 20, (4, 4, 3))
    colours = cv2.resize(tint.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return colours.reshape(height, width, 3) + light.reshape(height, width, 1)


def _shape(draw: np.random.Generator, width: int, height: int, reach: float) -> NDArray[np.uint8]:
    """Draw one filled polygon or ellipse of about `reach` pixels, 255 inside."""
    mask = np.zeros((height, width), np.uint8)
    middle = draw.uniform((0, 0), (width, height))
    radii = reach * draw.uniform(0.3, 1.0, 2)
    if draw.integers(5) < 2:  # noqa: PLR2004 two in five are round
        cv2.ellipse(
            mask,
            (int(middle[0]), int(middle[1])),
            (int(radii[0]) + 1, int(radii[1]) + 1),
            float(draw.uniform(0, 180)),
            0,
            360,
            255,
            -1,
            cv2.LINE_AA,
        )
        return mask
    turns = np.sort(draw.uniform(0, 2 * np.pi, int(draw.integers(3, 8))))
    corners = middle + radii * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255, cv2.LINE_AA)
    return mask
