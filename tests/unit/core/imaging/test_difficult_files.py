"""Files whose first look misleads: each is made here, and decoded as viewers show it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import UnsupportedError
from core.fingerprint import phash
from core.fingerprint.fingerprint import fingerprint
from core.imaging.decoding import NEWEST_PIXELS_VERSION, PIXELS_VERSION, decode
from core.types import Canonical, Fingerprint, Limits
from tests.samples.image_files import Array, deep, drawn, encoded, off
from tests.samples.pictures import logo, photo

LIMITS = Limits()


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
