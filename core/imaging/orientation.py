"""EXIF orientation of a picture, and the turns that bring it upright."""

from __future__ import annotations

import re
from typing import NamedTuple

from PIL import Image, TiffImagePlugin

from core.imaging.decoder_faults import FAULTS

_ORIENTATION = 0x0112
_XMP = ("xmp", "XML:com.adobe.xmp")
_XMP_TURN = re.compile(rb"""tiff:Orientation(?:="|>)([2-8])""")
_TURNS: dict[int, tuple[Image.Transpose, ...]] = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
"""Transpositions that bring a picture upright, by its EXIF orientation (Exif 2.32, 4.6.4 A)."""

_SIDEWAYS = 5
"""Least of the four orientations that exchange width and height."""


class Orientation(NamedTuple):
    """Transpositions that bring a picture upright."""

    turns: tuple[Image.Transpose, ...] = ()
    sideways: bool = False
    """Whether they exchange width and height."""
    changed: bool = False
    """Whether version 1 of the pixels had another one, found in XMP, which viewers ignore."""


def read(image: Image.Image) -> Orientation:
    """Read the EXIF orientation: none if absent, broken, or for TIFF (already upright)."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return Orientation()
    xmp = [image.info.pop(name) for name in _XMP if name in image.info]
    try:
        found = image.getexif().get(_ORIENTATION)
    except FAULTS:
        return Orientation()
    if found is not None:
        known = isinstance(found, int) and found in _TURNS
        return Orientation(_TURNS[found], found >= _SIDEWAYS) if known else Orientation()
    texts = (text.encode() if isinstance(text, str) else text for text in xmp)
    named = any(_XMP_TURN.search(text) for text in texts if isinstance(text, bytes))
    return Orientation(changed=named)
