"""Generated pictures for every test: textured like photos, flat, tiny, and templates."""

from __future__ import annotations

import io

from PIL import Image

from evaluation.edits import EDITS, Edit, jpeg
from evaluation.synthetic_photos import photo
from evaluation.synthetic_templates import TEMPLATES

__all__ = ["EDITS", "TEMPLATES", "Edit", "flat", "jpeg", "photo", "png", "tiny"]


def flat(color: str = "white", width: int = 640, height: int = 480) -> Image.Image:
    """Make one flat colour, too uniform for a stable hash."""
    return Image.new("RGB", (width, height), color)


def tiny(seed: int = 0, side: int = 8) -> Image.Image:
    """Make a picture of a few pixels."""
    return photo(seed, 64, 64).resize((side, side))


def png(image: Image.Image) -> bytes:
    """Encode as PNG, without loss."""
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()
