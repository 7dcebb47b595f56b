"""Generated pictures for every test: textured like photos, flat, tiny, and templates."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from evaluation.edits import EDITS, Edit, jpeg
from evaluation.synthetic_photos import photo
from evaluation.synthetic_templates import TEMPLATES

__all__ = ["EDITS", "TEMPLATES", "Edit", "flat", "jpeg", "many_scans", "photo", "png", "tiny"]


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


def logo(n: int, *inks: tuple[int, int, int], size: int = 200) -> Image.Image:
    """Draw shapes, other ones for each `n`, in these colours on a transparent ground."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(n)
    for i in range(12):
        x, y = rng.integers(0, size * 3 // 4, 2).tolist()
        shape = draw.ellipse if i % 2 else draw.rectangle
        side = int(rng.integers(size // 10, size // 4))
        shape((x, y, x + side, y + side), fill=(*inks[i % len(inks)], 255))
    return image


def many_scans(width: int, height: int, scans: int) -> bytes:
    """Make a flat progressive JPEG whose last scan is repeated, each time a pass over the pixels.

    Twelve megapixels in 2,000 scans are 120 KB, and take 13 s to decode.
    """
    made = io.BytesIO()
    flat("gray", width, height).save(made, "JPEG", progressive=True)
    data = made.getvalue()
    end, last = len(data) - 2, data.rindex(b"\xff\xda")
    return data[:end] + data[last:end] * scans + data[end:]
