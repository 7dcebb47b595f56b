"""Reduction of a decoded picture: flattened to eight bits without alpha, averaged, resized."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin

from core.errors import BrokenError
from core.imaging import transparency
from core.imaging.bands import bands

_GAP = 2
"""A picture is averaged down to no less than twice the preview before it is resized (Pillow's
`reducing_gap`: from 2.0 on the result hardly differs from a resize of the whole)."""
_FILTER = Image.Resampling.HAMMING
"""Two thirds of bicubic's time; drafted JPEGs then lie 45 dB from a Lanczos resize of the whole
(bicubic: 48 dB; measured on 2-megapixel JPEGs)."""
_FULL = 65535.0
_DEPTHS = (1023.0, 4095.0)
"""Greatest numbers of ten and twelve bits, which cameras and scanners store in sixteen."""
_DARK = 255.0
"""Greatest number up to which a 16-bit picture is taken as black with noise, not as ten bits."""
_BITS, _PHOTOMETRIC, _MIN_IS_WHITE = 258, 262, 0


class Scale(NamedTuple):
    """Numbers that are black and white, and whether version 1 of the pixels had others."""

    black: float
    white: float
    changed: bool = False


def shrink(
    image: Image.Image,
    size: tuple[int, int],
    extent: tuple[float, float],
    ground: int,
    scale: Scale | None,
) -> Image.Image:
    """Flatten to L, RGB, CMYK or LAB, average by a whole factor, then resize to `size`.

    `extent` is the valid part of the picture, in its pixels: the last column of a JPEG decoded at
    half scale may be only half covered. `ground` is the grey level below transparent parts.
    """
    factor = max(1, int(min(image.width / size[0], image.height / size[1]) / _GAP))
    plain = _plain(image, factor, _flattening(image, ground, scale))
    if plain.size == size:
        return plain
    box = (0.0, 0.0, extent[0] / factor, extent[1] / factor)
    return plain.resize(size, _FILTER, box=box)


def scale(image: Image.Image) -> Scale | None:
    """Return the scale of a picture of numbers: 1, 255 or 65535 if all fit, else its extremes.

    16-bit pictures use their full scale, as every viewer does, but a TIFF whose numbers fit ten or
    twelve bits is one of those: it would be black. In a TIFF with PhotometricInterpretation 0 the
    least number is white. None for pictures of eight bits or fewer.
    """
    if not image.mode.startswith(("I", "F")):
        return None
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    black, white, changed = 0.0, _FULL, False
    if not image.mode.startswith("I;16"):
        least, most = _extrema(image)
        tops = (1.0, 255.0, _FULL) if image.mode == "F" else (255.0, _FULL)
        fitting = [top for top in tops if least >= 0 and most <= top]
        black, white = (0.0, fitting[0]) if fitting else (least, max(most, least + 1.0))
    elif tags:
        white = _depth(tags.get(_BITS, (16,)), _extrema(image)[1])
        changed = white != _FULL
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        return Scale(white, black, changed=True)
    return Scale(black, white, changed)


def _depth(bits: tuple[int, ...], most: float) -> float:
    """Return the number that is white in a 16-bit picture whose greatest number is `most`."""
    if bits[0] < 16:  # noqa: PLR2004
        return float(2 ** bits[0] - 1)
    return next((top for top in _DEPTHS if _DARK < most <= top), _FULL)


def _plain(
    image: Image.Image, factor: int, flatten: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Flatten and average, in bands if that needs an intermediate picture."""
    if image.mode in ("L", "RGB", "CMYK", "LAB") and not image.has_transparency_data:
        return image.reduce(factor) if factor > 1 else image
    whole: Image.Image | None = None
    top = 0
    for raw in bands(image, factor):
        band = flatten(raw).reduce(factor) if factor > 1 else flatten(raw)
        if whole is None:
            whole = Image.new(band.mode, (band.width, -(-image.height // factor)))
        whole.paste(band, (0, top))
        top += band.height
    if whole is None:
        raise BrokenError("the picture has no pixels")
    return whole


def _flattening(
    image: Image.Image, ground: int, scale: Scale | None
) -> Callable[[Image.Image], Image.Image]:
    """Return the function that flattens a band of this picture to eight bits without alpha."""
    if scale is not None:
        return lambda band: _grey(band, scale)
    if image.has_transparency_data:
        return lambda band: transparency.over(band, ground)
    return lambda band: band.convert("L" if band.mode == "1" else "RGB")


def _grey(band: Image.Image, scale: Scale) -> Image.Image:
    """Map numbers to grey; a number that is none becomes black."""
    black, white, _ = scale
    least, most = (black, white) if black < white else (white, black)
    held = np.nan_to_num(np.asarray(band, np.float32), nan=black, posinf=most, neginf=least)
    grey = (held - black) * (255.0 / (white - black)) + 0.5
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def _extrema(image: Image.Image) -> tuple[float, float]:
    """Return the least and the greatest finite value."""
    least, most = np.inf, -np.inf
    for band in bands(image, 1):
        held = np.asarray(band)
        finite = held[np.isfinite(held)]
        if finite.size:
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
    return (least, most) if least <= most else (0.0, 0.0)
