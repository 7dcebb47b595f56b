"""Files whose first look misleads: each is made here, and decoded as viewers show it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, TiffImagePlugin

from core.errors import UnsupportedError
from core.fingerprint import phash
from core.fingerprint.fingerprint import fingerprint
from core.imaging import frames
from core.imaging.decoding import NEWEST_PIXELS_VERSION, PIXELS_VERSION, decode, inspect
from core.types import Canonical, Fingerprint, Limits
from tests.samples.image_files import Array, deep, drawn, encoded
from tests.samples.pictures import photo

LIMITS = Limits()


def off(found: Array, expected: Array) -> float:
    """Mean difference in grey levels."""
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


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


# --- transparency -------------------------------------------------------------------------------


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


# --- frames -------------------------------------------------------------------------------------


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


# --- TIFF ---------------------------------------------------------------------------------------


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


# --- orientation and colours --------------------------------------------------------------------


def test_orientation_in_xmp_alone_is_ignored() -> None:
    """As browsers do; EXIF's counts, also beside another one in XMP."""
    image, packet = Image.fromarray(drawn()), b'<rdf tiff:Orientation="6"/>'
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = encoded(image, "JPEG", xmp=packet, quality=95)
    both = encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", xmp=packet, exif=exif)
    exif[0x0112] = 1
    upright = encoded(image, "JPEG", xmp=packet, exif=exif, quality=95)
    versions = []
    for data in (xmp, both, upright):
        found = decode(data, LIMITS)
        assert off(found.preview, drawn()) < 4
        versions.append(found.pixels_version)
    assert versions == [NEWEST_PIXELS_VERSION, PIXELS_VERSION, PIXELS_VERSION]


def chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Insert a chunk after a PNG's header."""
    packed = struct.pack(">I", len(body)) + kind + body
    return data[:33] + packed + struct.pack(">I", zlib.crc32(kind + body)) + data[33:]


def pq(picture: Array, white: float = 203.0) -> Array:
    """Code an sRGB picture in PQ, its own primaries kept (SMPTE ST 2084)."""
    held = picture / 255
    linear = np.where(held <= 0.04045, held / 12.92, ((held + 0.055) / 1.055) ** 2.4)
    root = (linear * white / 10_000) ** 0.1593017578125
    coded = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    return np.round(coded * 255).astype(np.uint8)


def hlg(picture: Array) -> Array:
    """Code a grey picture in HLG, SDR white at 203 of 1,000 cd/m² (ARIB STD-B67)."""
    held = picture / 255
    linear = np.where(held <= 0.04045, held / 12.92, ((held + 0.055) / 1.055) ** 2.4)
    scene = (linear * 0.203) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.round(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high) * 255).astype(np.uint8)


def soft(n: int) -> Image.Image:
    """Return a photo without the deepest shadows, of which eight bits of PQ keep little."""
    return photo(n, 200, 150).point(lambda level: 40 + level * 200 // 255)


def test_pq_and_hlg_are_shown_as_their_sdr_twin() -> None:
    """In PNG (cICP) and AVIF (nclx), and the curve is named."""
    image = soft(3)
    colour, grey = np.asarray(image), np.asarray(image.convert("L").convert("RGB"))
    avif = encoded(Image.fromarray(pq(colour)), "AVIF", quality=95, subsampling="4:4:4")
    assert b"nclx\0\1\0\x0d" in avif
    for data, curve, expected in (
        (chunk(encoded(Image.fromarray(pq(colour)), "PNG"), b"cICP", b"\1\x10\0\1"), "pq", colour),
        (avif.replace(b"nclx\0\1\0\x0d", b"nclx\0\1\0\x10"), "pq", colour),
        (chunk(encoded(Image.fromarray(hlg(grey)), "PNG"), b"cICP", b"\1\x12\0\1"), "hlg", grey),
    ):
        found = decode(data, LIMITS)
        assert (found.hdr, found.pixels_version) == (curve, NEWEST_PIXELS_VERSION)
        assert off(found.preview, expected) < 6
        assert phash.hamming(phash.turns(found.preview)[0], phash.turns(expected)[0]) <= 6


def test_wide_primaries_become_srgb() -> None:
    """P3's red, of which sRGB holds the hue; the codes of sRGB itself change nothing."""
    data = encoded(Image.new("RGB", (20, 20), (200, 60, 60)), "PNG")
    wide = decode(chunk(data, b"cICP", b"\x0c\x0d\0\1"), LIMITS)
    plain = decode(chunk(data, b"cICP", b"\1\x0d\0\1"), LIMITS)
    assert wide.preview[9, 9].tolist() == pytest.approx([217, 42, 52], abs=2)
    assert plain.preview[9, 9].tolist() == [200, 60, 60]
    assert (plain.pixels_version, plain.hdr) == (PIXELS_VERSION, None)


def test_gamma_of_a_png_is_applied() -> None:
    """Linear light (gAMA 1.0) is brightened; sRGB's own gamma, or a chunk sRGB, changes nothing."""
    colour = np.asarray(soft(4))
    held = colour / 255
    linear = np.where(held <= 0.04045, held / 12.92, ((held + 0.055) / 1.055) ** 2.4)
    dark = encoded(Image.fromarray(np.round(linear * 255).astype(np.uint8)), "PNG")
    found = decode(chunk(dark, b"gAMA", struct.pack(">I", 100_000)), LIMITS)
    assert off(found.preview, colour) < 2
    assert found.pixels_version == NEWEST_PIXELS_VERSION
    plain = encoded(Image.fromarray(colour), "PNG")
    for data in (
        chunk(plain, b"gAMA", struct.pack(">I", 45_455)),
        chunk(chunk(plain, b"gAMA", struct.pack(">I", 100_000)), b"sRGB", b"\0"),
    ):
        same = decode(data, LIMITS)
        assert off(same.preview, colour) == 0
        assert same.pixels_version == PIXELS_VERSION


@pytest.mark.parametrize("name", ["png", "deep", "jpeg", "alpha", "palette"])
def test_ordinary_files_keep_their_version(name: str) -> None:
    """Version 1 of the pixels, of which no rule changed the result."""
    image = Image.fromarray(drawn())
    made = {
        "png": lambda: encoded(image, "PNG"),
        "deep": lambda: deep(drawn()),
        "jpeg": lambda: encoded(image, "JPEG"),
        "alpha": lambda: encoded(logo(1, (200, 40, 40)), "PNG"),
        "palette": lambda: encoded(image.quantize(16), "GIF"),
    }
    found = decode(made[name](), LIMITS)
    assert (found.pixels_version, found.frames_sha256, found.hdr) == (PIXELS_VERSION, "", None)


# --- the files of SEENIT_TEST_SHARED ------------------------------------------------------------

_TWINS = {
    "tiff-thumb-first.tif": "tiff-thumb-first.jpg",
    "miniswhite16.tif": "gray16.png",
    "xmp-turn.jpg": "xmp-turn-exif1.jpg",
    "cicp-pq.png": "cicp-pq-sdr.jpg",
    "pq.avif": "pq-sdr.jpg",
    "gama1.png": "gama1-srgb.jpg",
    "bmp32-alpha0.bmp": "bmp32.jpg",
}
"""Files that show the same picture."""
_OTHERS = (
    *("white-logo-{}.png", "white-lines-{}.webp", "blank-first-{}.png", "black-first-{}.gif"),
    *("blank-first-{}.webp", "blank-page-{}.tif", "gray12-{}.tif", "tall-{}.png"),
)
"""Pairs of files that show different pictures."""


def shared_case(shared: Path, name: str) -> tuple[Canonical, Fingerprint]:
    """Return the fingerprint of a file of cases/."""
    return fingerprint((shared / "cases" / name).read_bytes(), LIMITS)


@pytest.mark.parametrize("name", _TWINS)
def test_shared_twins_are_decoded_alike(name: str, shared: Path) -> None:
    """Within what JPEG and eight bits of PQ leave."""
    (one, here), (two, there) = (shared_case(shared, each) for each in (name, _TWINS[name]))
    assert off(one.preview, two.preview) < 8
    assert phash.hamming(here.phash, there.phash) <= 6


@pytest.mark.parametrize("name", _OTHERS)
def test_shared_others_show_and_differ(name: str, shared: Path) -> None:
    """Each can be compared, and its hash is not the other's."""
    (_, one), (_, two) = (shared_case(shared, name.format(n)) for n in (1, 2))
    assert one.comparable
    assert two.comparable
    assert one.pixels_sha256 != two.pixels_sha256
    assert phash.hamming(one.phash, two.phash) > 8


@pytest.mark.parametrize(("name", "maker"), [("raw-nef.nef", "Nikon NEF"), ("raw-dng.dng", "DNG")])
def test_shared_raw_files_are_refused(name: str, maker: str, shared: Path) -> None:
    """By name, before anything is decoded."""
    with pytest.raises(UnsupportedError, match=maker):
        shared_case(shared, name)
