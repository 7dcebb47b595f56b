"""Headers of files, read without decoding a pixel."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import BrokenError, SeenitError, TooLargeError, UnsupportedError
from core.image_formats import BY_DEFAULT, FORMATS, titles
from core.imaging.decoding import decode, inspect
from core.types import Header, Limits
from tests.samples.image_files import HEIGHT, NAMES, WIDTH, drawn, encoded, every

LIMITS = Limits(formats=FORMATS)
FILES = every()


@pytest.mark.parametrize("name", FILES)
def test_headers_are_read(name: str, tmp_path: Path) -> None:
    """Format, size and frames, the same from bytes, a path and a stream."""
    expected = Header(NAMES[name], WIDTH, HEIGHT, 1)
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert inspect(FILES[name], LIMITS) == expected
    assert inspect(path, LIMITS) == expected
    assert inspect(io.BytesIO(FILES[name]), LIMITS) == expected


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_frames_are_counted(name: str) -> None:
    """An animation has its number of frames, and may not exceed the limit."""
    frames = [Image.fromarray(np.roll(drawn(), 9 * i, axis=1)) for i in range(3)]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:])
    assert inspect(data, LIMITS) == Header(name, WIDTH, HEIGHT, 3)
    with pytest.raises(TooLargeError, match="more than 2 frames"):
        inspect(data, Limits(frames=2))


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", BrokenError, "the file is empty"),
        (b"\xff\xd8\xff", BrokenError, "the file ends in the middle of its header"),
        (FILES["png"][:20], BrokenError, "the file ends in the middle of its header"),
        (b"hello", UnsupportedError, "this kind of file is not read here"),
        (b"8BPS\0\1", UnsupportedError, "Photoshop files are not read here"),
        (b"%PDF-1.7", UnsupportedError, "PDF files are not read here"),
        (b"<?xml version='1.0'?><SVG/>", UnsupportedError, "SVG files are not read here"),
        (b"BM" + bytes(100), BrokenError, "says that it is 0 by 0 pixels large"),
        (b"P5\n#a\n12 oops", BrokenError, "the PPM does not tell its size"),
        (b"\xff\xd8\xff\xda\0\0", BrokenError, "begin before its size is given"),
        (b"\xff\xd8\xff" + bytes(400_000), BrokenError, "ends in the middle of its header"),
        (b"\xff\xd8" + b"\xff\xe1\0\2" * 100_000, BrokenError, "too many parts"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", BrokenError, "the TIFF does not tell its size"),
        (b"\0\0\0\x0cftypavif", BrokenError, "does not tell the picture's size"),
    ],
)
def test_what_cannot_be_accepted_is_told(data: bytes, kind: type[SeenitError], words: str) -> None:
    """Each with its reason, by `inspect` and by `decode` alike."""
    for look in (inspect, decode):
        with pytest.raises(kind) as caught:
            look(data, LIMITS)
        assert words in caught.value.detail


def test_unsupported_says_what_is_read() -> None:
    """The answer names the formats."""
    with pytest.raises(UnsupportedError) as caught:
        inspect(b"qoif....", Limits())
    assert caught.value.detail == f"QOI files are not read here; what is read: {titles(BY_DEFAULT)}"


@pytest.mark.parametrize("look", [inspect, decode])
def test_limits_come_first(look: Callable[[bytes, Limits], object]) -> None:
    """Too many bytes and too many pixels are refused in figures, before anything is allocated."""
    with pytest.raises(TooLargeError, match=r"the file has 0\.04 MB; the limit is 0\.01 MB"):
        look(FILES["ppm"], Limits(bytes=10_000))
    with pytest.raises(TooLargeError, match=r"has 128 by 96 pixels, that is 0\.0 million"):
        look(FILES["png"], Limits(pixels=WIDTH * HEIGHT - 1))
    huge = bytearray(FILES["png"])
    huge[16:24] = struct.pack(">II", 60_000, 50_000)
    with pytest.raises(TooLargeError, match=r"3,000\.0 million; the limit is 100 million"):
        look(bytes(huge), LIMITS)


def test_a_frame_may_not_go_far_beyond_its_canvas() -> None:
    """A GIF of 1 by 1 with a frame of 60,000 by 60,000 is as large as that frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x01\x00\x00;"
    with pytest.raises(TooLargeError):
        inspect(head + frame, LIMITS)


def test_pages_that_point_at_each_other_are_counted_once() -> None:
    """A loop of TIFF directories ends."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 7) for tag in (256, 257))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + struct.pack("<I", 8)
    assert inspect(data, LIMITS) == Header("TIFF", 7, 7, 1)
