"""Large previews: which pictures have one, and what it shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.errors import CorruptError
from core.imaging import large_preview
from core.imaging.decoding import decode
from core.types import Limits
from tests.samples.image_files import encoded
from tests.samples.pictures import TEMPLATES, photo

LIMITS = Limits()


def receipt(width: int) -> Image.Image:
    """Draw a receipt of that width, twice as high."""
    return TEMPLATES["receipts"](3).convert("RGB").resize((width, 2 * width))


@pytest.mark.parametrize(("name", "how"), [("PNG", {}), ("JPEG", {"quality": 80})])
@pytest.mark.parametrize(("width", "expected"), [(1200, (1600, 800)), (500, (1000, 500))])
def test_drawn_picture_has_a_large_preview(
    name: str, how: dict[str, object], width: int, expected: tuple[int, int]
) -> None:
    """At most 1,600 pixels, never enlarged, and close to the picture."""
    image = receipt(width)
    made = large_preview.decode(decode(encoded(image, name, **how), LIMITS).large)
    assert made.shape[:2] == expected
    there = np.asarray(image.resize(expected[::-1], Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(made - there).mean() < 4


def test_noisy_scan_counts_as_drawn() -> None:
    """Paper with shade and grain has no flat pixels, yet small print."""
    page = np.asarray(receipt(700)).astype(float)
    shade = np.linspace(0, 12, page.shape[1])[None, :, None]
    grain = np.random.default_rng(1).normal(0, 3, (*page.shape[:2], 1))
    scan = Image.fromarray(np.clip(page * 0.93 + 8 - shade + grain, 0, 255).astype(np.uint8))
    assert large_preview.decode(decode(encoded(scan, "JPEG"), LIMITS).large).shape[0] == 1400


def test_photos_and_small_pictures_have_none() -> None:
    """A photo has no flat pixels, and a small drawing no more than its preview shows."""
    assert decode(encoded(photo(1, 900, 700), "JPEG"), LIMITS).large == b""
    assert decode(encoded(receipt(300), "PNG"), LIMITS).large == b""


def test_large_preview_shows_the_frame_of_the_preview() -> None:
    """A scan that begins with a blank page, turned upright as its preview is."""
    page = receipt(600)
    blank = Image.new("RGB", page.size, "white")
    found = decode(encoded(blank, "TIFF", save_all=True, append_images=[page]), LIMITS)
    made = large_preview.decode(found.large)
    assert np.abs(made.astype(int) - np.asarray(page)).mean() < 4


def test_strip_has_a_large_preview_in_proportion() -> None:
    """A long chat keeps up to 224 pixels of its short side."""
    chat = Image.new("RGB", (450, 4500), "white")
    for top in range(0, 4500, 450):
        chat.paste(receipt(100), (20, top))
    found = decode(encoded(chat, "PNG"), LIMITS)
    assert found.preview.shape[:2] == (1280, 128)
    assert large_preview.decode(found.large).shape[:2] == (2240, 224)


def test_damaged_large_preview_is_reported() -> None:
    """The loader treats it as missing."""
    with pytest.raises(CorruptError, match="large preview cannot be read"):
        large_preview.decode(b"RIFF rubbish")
