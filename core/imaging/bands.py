"""A picture in bands, so that intermediate copies of a large one stay small."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

_BAND = 1_000_000
"""Pixels flattened at a time: 4 MB as RGBA, 8 MB as numbers, at any size of the picture."""


def bands(image: Image.Image, multiple: int) -> Iterator[Image.Image]:
    """Yield the picture from top to bottom in bands of a multiple of so many rows."""
    rows = max(1, _BAND // image.width // multiple) * multiple
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))
