"""Conversion of the small picture to sRGB: ICC profiles, CMYK and LAB."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_LARGEST = 4 * 1024 * 1024
"""Bytes of the largest profile that is read; press profiles have about 2 MB."""
_GRID = 9
"""Steps per channel at which a profile is compared with sRGB."""
_SAME = 2
"""Grey levels within which a profile counts as sRGB under another name and is not applied."""
_CHANNELS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "LAB"}


def to_rgb(image: Image.Image, profile: object = None) -> Image.Image:
    """Convert an L, RGB, CMYK or LAB picture to sRGB, without a broken or mismatched profile.

    Rendering intent: relative colorimetric, white stays white.
    """
    transform = None
    if isinstance(profile, bytes) and 0 < len(profile) <= _LARGEST:
        transform = _transform(profile, image.mode)
    if transform is None and image.mode == "LAB":
        transform = _from_lab()
    if transform is not None:
        turned = ImageCms.applyTransform(image, transform)
        if turned is not None:
            return turned
    return image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform from `profile` to sRGB; None if it is unnecessary or impossible."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip().upper() != _CHANNELS[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        return None if mode in ("L", "RGB") and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


@lru_cache(maxsize=1)
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a grid of colours passes through the transform unchanged."""
    steps = np.linspace(0, 255, _GRID).round().astype(np.uint8)
    grid = (
        Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, _GRID, 3))
        if mode == "RGB"
        else Image.fromarray(steps[None])
    )
    turned = ImageCms.applyTransform(grid, transform)
    if turned is None:
        return False
    difference = np.asarray(turned, np.int16) - np.asarray(grid.convert("RGB"), np.int16)
    return int(np.abs(difference).max()) <= _SAME
