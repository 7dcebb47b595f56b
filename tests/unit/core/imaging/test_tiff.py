"""TIFF files: pages, thumbnails, grey of 16 bits, and camera raw."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from core.errors import UnsupportedError
from core.imaging.decoding import NEWEST_PIXELS_VERSION, PIXELS_VERSION, decode, inspect
from core.types import Limits
from tests.samples.image_files import drawn, encoded, off

LIMITS = Limits()


def tiff_page(image: Image.Image, **tags: int) -> bytes:
    """Encode one page with further tags, by name."""
    held = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        held[{"subfile": 254, "photometric": 262}[name]] = value
    return encoded(image, "TIFF", tiffinfo=held)


def linked(first: bytes, second: bytes) -> bytes:
    """Link the page of a TIFF behind that of another, both little-endian."""
    base = -(-len(first) // 16) * 16
    chain = int.from_bytes(first[4:8], "little")
    count = int.from_bytes(first[chain : chain + 2], "little")
    after = chain + 2 + 12 * count
    moved = bytearray(second)
    place = int.from_bytes(moved[4:8], "little")
    for n in range(int.from_bytes(moved[place : place + 2], "little")):
        at = place + 2 + 12 * n
        tag, kind, held, value = struct.unpack("<HHII", moved[at : at + 12])
        if tag == 273 or held * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[kind] > 4:
            assert tag != 273 or held == 1
            moved[at + 8 : at + 12] = struct.pack("<I", value + base)
    head = first[:after] + struct.pack("<I", base + place) + first[after + 4 :]
    return head.ljust(base, b"\0") + bytes(moved)


def test_tiff_with_a_thumbnail_first_shows_its_full_page() -> None:
    """Linked or merely appended; the thumbnail is no page of its own, before or after."""
    full, small = Image.fromarray(drawn()), Image.fromarray(drawn()).resize((32, 24))
    thumbnail, page = tiff_page(small, subfile=1), tiff_page(full)
    appended = thumbnail.ljust(-(-len(thumbnail) // 16) * 16, b"\0") + page
    for data in (linked(thumbnail, page), appended):
        found = decode(data, LIMITS)
        assert (found.width, found.height, found.frames) == (128, 96, 1)
        assert off(found.preview, drawn()) == 0
        assert found.pixels_version == NEWEST_PIXELS_VERSION
    behind = decode(linked(page, thumbnail), LIMITS)
    assert (behind.frames, behind.pixels_version) == (1, PIXELS_VERSION)
    alone = decode(thumbnail, LIMITS)
    assert (alone.width, alone.pixels_version) == (32, PIXELS_VERSION)


def grey16(values: NDArray[np.uint16], photometric: int = 1) -> bytes:
    """Encode a 16-bit grey TIFF."""
    return tiff_page(Image.fromarray(values), photometric=photometric)


def test_zero_is_white_in_sixteen_bits() -> None:
    """PhotometricInterpretation 0 gives the pixels of the PNG in which 0 is black."""
    grey = drawn()[..., 0].astype(np.uint16) * 257
    written, data = cv2.imencode(".png", grey)
    assert written
    plain, turned = decode(data.tobytes(), LIMITS), decode(grey16(65535 - grey, 0), LIMITS)
    assert off(turned.preview, plain.preview) == 0
    assert (plain.pixels_version, turned.pixels_version) == (PIXELS_VERSION, NEWEST_PIXELS_VERSION)


@pytest.mark.parametrize(("bits", "shown"), [(10, True), (12, True), (8, False), (16, True)])
def test_fewer_bits_in_sixteen_are_spread(bits: int, shown: bool) -> None:
    """Ten and twelve are shown at their own scale; the noise of a black picture is not."""
    grey = drawn()[..., 0].astype(np.uint16)
    grey[0, 0] = 255
    found = decode(grey16(grey * (2**bits // 256)), LIMITS)
    expected = np.repeat(drawn()[..., :1], 3, axis=2)
    expected[0, 0] = 255
    assert (off(found.preview, expected) < 2) == shown
    assert (found.pixels_version == NEWEST_PIXELS_VERSION) == (bits in {10, 12})


def test_camera_raw_is_refused_by_name() -> None:
    """By a mosaic below the thumbnail, by DNG's version, or by the signature."""
    thumbnail = TiffImagePlugin.ImageFileDirectory_v2()
    thumbnail[271] = "NIKON CORPORATION"
    mosaic = struct.pack("<H", 3) + b"".join(
        struct.pack("<HHII", tag, 3, 1, value)
        for tag, value in ((256, 64), (257, 48), (262, 32803))
    )
    thumbnail[330] = 0xABCDEF01
    nef = encoded(Image.fromarray(drawn()), "TIFF", tiffinfo=thumbnail)
    nef = (
        nef.replace(struct.pack("<I", 0xABCDEF01), struct.pack("<I", len(nef))) + mosaic + bytes(4)
    )
    digital = TiffImagePlugin.ImageFileDirectory_v2()
    digital[50706] = b"\1\4\0\0"
    digital.tagtype[50706] = 1
    dng = encoded(Image.fromarray(drawn()), "TIFF", tiffinfo=digital)
    for data, name in (
        (nef, "Nikon NEF"),
        (dng, "DNG"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "Canon CR3"),
    ):
        for look in (inspect, decode):
            with pytest.raises(UnsupportedError, match=rf"camera raw files \({name}\).*JPEG"):
                look(data, LIMITS)
