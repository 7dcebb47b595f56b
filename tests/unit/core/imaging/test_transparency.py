"""Pictures with transparent parts, and the ground on which they are shown."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.fingerprint import phash
from core.imaging.decoding import NEWEST_PIXELS_VERSION, PIXELS_VERSION, decode
from core.types import Limits
from tests.samples.image_files import drawn, encoded, off
from tests.samples.pictures import logo, photo

LIMITS = Limits()


@pytest.mark.parametrize(
    ("inks", "ground"),
    [
        ([(255, 255, 255)], 0),
        ([(250, 240, 245)], 0),
        ([(0, 0, 0)], 255),
        ([(90, 90, 90)], 255),
        ([(255, 255, 255), (0, 0, 0)], 128),
    ],
)
def test_drawing_lies_on_a_ground_on_which_it_shows(
    inks: list[tuple[int, int, int]], ground: int
) -> None:
    """White, else black, else grey; nothing is hidden then, and other drawings differ."""
    first, second = (decode(encoded(logo(n, *inks), "PNG"), LIMITS) for n in (1, 2))
    assert first.preview[-1, -1].tolist() == [ground] * 3
    assert not first.hides
    assert first.pixels_version == (PIXELS_VERSION if ground == 255 else NEWEST_PIXELS_VERSION)
    assert off(first.preview, second.preview) > 5
    assert phash.comparable(first.preview)


def test_near_white_lines_show_in_a_lossy_webp() -> None:
    """Thin lines, two of which are different drawings."""
    found = []
    for n in (1, 2):
        image = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
        points = np.random.default_rng(n).integers(0, 200, (14, 2)).tolist()
        ImageDraw.Draw(image).line([tuple(point) for point in points], (247, 247, 245, 255), 2)
        found.append(decode(encoded(image, "WEBP", quality=80), LIMITS))
    assert off(found[0].preview, found[1].preview) > 10


def test_photo_cut_out_keeps_its_white_ground() -> None:
    """Highlights at its outline are no reason to lay it on black; that they hide is known."""
    image = photo(3, 300, 300).convert("RGBA")
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((30, 30, 270, 270), fill=255)
    image.putalpha(mask)
    image.paste((255, 255, 255, 255), (145, 32, 160, 60))
    found = decode(encoded(image, "PNG"), LIMITS)
    assert found.preview[0, 0].tolist() == [255] * 3
    assert (found.hides, found.pixels_version) == (True, PIXELS_VERSION)


def test_unused_fourth_byte_of_a_bmp_is_no_alpha() -> None:
    """A 32-bit BMP whose mask names an alpha that is 0 everywhere shows its picture."""
    picture = drawn()
    height, width = picture.shape[:2]
    rows = np.dstack([picture[::-1, :, ::-1], np.zeros((height, width), np.uint8)]).tobytes()
    masks = struct.pack("<4I", 0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    head = (head + masks).ljust(108, b"\0")
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + len(rows), 0, 0, 14 + 108) + head + rows
    found = decode(data, LIMITS)
    assert off(found.preview, picture) == 0
    assert found.pixels_version == NEWEST_PIXELS_VERSION


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_lies_over_white(mode: str) -> None:
    """Opaque, half and none; what lies hidden under alpha 0 does not show."""
    image = Image.new("RGBA", (30, 10), (0, 0, 0, 255))
    image.paste((0, 0, 0, 128), (10, 0, 20, 10))
    image.paste((0, 0, 0, 0), (20, 0, 30, 10))
    turned = image.quantize(3, Image.Quantize.FASTOCTREE) if mode == "P" else image.convert(mode)
    found = decode(encoded(turned, "PNG"), LIMITS).preview
    assert found[5, [5, 15, 25]].tolist() == [[0] * 3, [127] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("ink", "below", "ground"),
    [
        ((255, 255, 255, 255), 0, 0),
        ((240, 250, 240, 255), 0, 0),
        ((255, 255, 255, 120), 0, 0),
        ((20, 20, 20, 20), 0, 255),
        ((90, 90, 90, 255), 0, 255),
        ((255, 255, 255, 255), 255, 0),
    ],
)
def test_white_on_a_clear_ground_is_laid_on_black(
    ink: tuple[int, int, int, int], below: int, ground: int
) -> None:
    """Drawn where nothing else is, and as good as white there; an opaque ground stays its own."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, below))
    image.paste(ink, (8, 8, 40, 40))
    found = decode(encoded(image, "PNG"), Limits())
    assert found.preview[60, 60].tolist() == [ground] * 3
    assert not found.hides


def test_white_in_a_drawing_of_colours_is_known_to_be_hidden() -> None:
    """Most of the drawing shows on white, a part of it does not."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 40, 40, 255), (8, 8, 56, 40))
    image.paste((255, 255, 255, 255), (50, 44, 56, 50))
    assert decode(encoded(image, "PNG"), Limits()).hides
    assert not decode(encoded(image.convert("RGB"), "PNG"), Limits()).hides


def test_transparent_colours_of_palettes_lie_over_white() -> None:
    """GIF's and PNG's one transparent colour, in palette and in grey and RGB pictures."""
    palette = Image.new("P", (20, 10), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (10, 0, 20, 10))
    grey = Image.new("L", (20, 10), 7)
    grey.paste(90, (10, 0, 20, 10))
    for data, second in (
        (encoded(palette, "GIF", transparency=0), [200, 100, 50]),
        (encoded(palette, "PNG", transparency=0), [200, 100, 50]),
        (encoded(grey, "PNG", transparency=7), [90] * 3),
        (encoded(grey.convert("RGB"), "PNG", transparency=(7, 7, 7)), [90] * 3),
    ):
        found = decode(data, LIMITS).preview
        assert found[5, [5, 15]].tolist() == [[255] * 3, second]
