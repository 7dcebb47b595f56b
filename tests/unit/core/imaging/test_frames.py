"""Animations and scans of several pages: the frame that is shown, and the digest of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from core.fingerprint import phash
from core.fingerprint.fingerprint import fingerprint
from core.imaging import frames
from core.imaging.decoding import NEWEST_PIXELS_VERSION, PIXELS_VERSION, decode
from core.types import Fingerprint, Limits
from tests.samples.image_files import encoded
from tests.samples.pictures import photo

LIMITS = Limits()


def moving(n: int, blank: int, frames: int = 4) -> list[Image.Image]:
    """Make an empty frame of a grey level, then frames of a photo that moves."""
    picture = np.asarray(photo(n, 120, 90))
    shown = [Image.fromarray(np.roll(picture, 9 * i, axis=1)) for i in range(frames)]
    return [Image.new("RGB", (120, 90), (blank, blank, blank)), *shown]


def animated(frames: Sequence[Image.Image], name: str, **how: object) -> bytes:
    """Encode an animation, or a scan of several pages."""
    return encoded(frames[0], name, save_all=True, append_images=frames[1:], **how)


def prints(frames: Sequence[Image.Image], name: str, **how: object) -> Fingerprint:
    """Return the fingerprint of an animation."""
    return fingerprint(animated(frames, name, **how), LIMITS)[1]


@pytest.mark.parametrize(
    ("name", "blank", "how"),
    [
        ("GIF", 0, {}),
        ("PNG", 255, {}),
        ("WEBP", 255, {"quality": 80}),
        ("AVIF", 255, {}),
        ("TIFF", 255, {"compression": "tiff_lzw"}),
    ],
)
def test_empty_first_frame_is_passed_over(name: str, blank: int, how: dict[str, object]) -> None:
    """The picture is that of the first frame that shows something, and another one differs."""
    frames = moving(1, blank)
    found = prints(frames, name, **how)
    still = fingerprint(encoded(frames[1], "PNG"), LIMITS)[1]
    assert phash.hamming(found.phash, still.phash) <= 8
    assert found.pixels_version == NEWEST_PIXELS_VERSION
    assert found.comparable
    assert found.pixels_sha256 != prints(moving(2, blank), name, **how).pixels_sha256


def test_frames_are_told_apart_by_their_digest() -> None:
    """One later frame that differs is enough; another lossless container makes no difference."""
    frames = moving(1, 255)[1:]
    found = prints(frames, "PNG")
    same = prints(frames, "WEBP", lossless=True)
    other = prints([*frames[:-1], frames[0]], "PNG")
    assert found.pixels_version == PIXELS_VERSION
    assert found.digested
    assert found.uncompared == ("frames",)
    assert (same.pixels_sha256, same.frames_sha256) == (found.pixels_sha256, found.frames_sha256)
    assert other.pixels_sha256 == found.pixels_sha256
    assert other.frames_sha256 != found.frames_sha256


def test_frames_beyond_the_limit_are_not_compared() -> None:
    """64 frames are covered; a longer animation is marked as not wholly digested."""
    dots = [Image.new("L", (8, 8), 255) for _ in range(65)]
    for n, dot in enumerate(dots):
        dot.putpixel((n % 8, n // 8 % 8), 0)
    few, many = (prints(dots[:count], "GIF") for count in (64, 65))
    assert (few.frames_compared, few.digested) == (64, True)
    assert (many.frames, many.frames_compared, many.digested) == (65, 64, False)


def test_frames_of_too_many_pixels_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is decoded in any case, the others while the sum of their pixels is allowed."""
    pages = moving(1, 255)[1:]
    for most, compared in ((1, 1), (3 * 120 * 90, 3), (4 * 120 * 90, 4)):
        monkeypatch.setattr(frames, "MOST_PIXELS", most)
        found = prints(pages, "GIF")
        assert (found.frames_compared, found.digested) == (compared, compared == 4)


def test_damaged_later_page_ends_the_comparison() -> None:
    """A scan whose second page cannot be decoded is accepted, and says that it was not compared."""
    pages = moving(1, 255)[1:3]
    data = bytearray(animated(pages, "TIFF", compression="tiff_lzw"))
    whole = fingerprint(bytes(data), LIMITS)[1]
    middle = data.index(b"II*\0") + len(data) * 3 // 4
    data[middle : middle + 400] = bytes(400)
    found = fingerprint(bytes(data), LIMITS)[1]
    assert whole.digested
    assert not found.digested
    assert found.pixels_sha256 == whole.pixels_sha256


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_stands_for_an_animation(name: str) -> None:
    """Later frames do not matter."""
    frames = [Image.new("RGB", (20, 20), shade) for shade in ("red", "blue", "lime")]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], lossless=True)
    found = decode(data, LIMITS)
    assert found.preview[10, 10].tolist() == [255, 0, 0]
    assert found.frames == 3
