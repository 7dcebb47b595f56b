from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from core.errors import BrokenError, SeenitError
from core.image_formats import FORMATS
from core.imaging.decoding import LONGEST, PREVIEW, decode, inspect
from core.types import Limits
from tests.samples.image_files import HEIC_TURNED, HEIGHT, NAMES, WIDTH, drawn, encoded, every, off
from tests.samples.pictures import photo

LIMITS = Limits(formats=FORMATS)
FILES = every()


# --- canonical pixels ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_pixels(name: str) -> None:
    """Lossless ones exactly, the others closely; size and format are returned."""
    found = decode(FILES[name], LIMITS)
    lossy = {"jpeg": 2, "progressive": 2, "gif": 6, "webp": 3, "avif": 2, "heic": 6}
    assert off(found.preview, drawn()) <= lossy.get(name, 0)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert (found.format, found.frames) == (NAMES[name], 1)
    assert found.preview.dtype == np.uint8
    assert found.preview.flags.c_contiguous


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_upright(name: str, orientation: int) -> None:
    """All eight orientations come out as the one upright picture."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(drawn())
    if orientation in undo:
        image = image.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(image, name, exif=exif, quality=95), LIMITS)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert off(found.preview, drawn()) < 4


def test_a_turned_heic_comes_upright_once() -> None:
    """The container's own turn is applied, and EXIF's not again."""
    found = decode(HEIC_TURNED, LIMITS)
    assert (found.width, found.height) == (HEIGHT, WIDTH)
    assert off(found.preview, np.rot90(drawn(), -1)) < 6


def test_broken_exif_is_ignored() -> None:
    """The picture is what counts."""
    data = encoded(Image.fromarray(drawn()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish")
    assert (decode(data, LIMITS).width, decode(data, LIMITS).height) == (WIDTH, HEIGHT)


def test_black_and_white_and_small_palettes() -> None:
    """One bit a pixel, and palettes of a few colours."""
    bits = Image.fromarray(drawn()).convert("1")
    expected = np.asarray(bits.convert("RGB"))
    for name in ("PNG", "TIFF", "BMP", "PPM", "GIF"):
        assert off(decode(encoded(bits, name), LIMITS).preview, expected) == 0


def test_cmyk_is_brought_to_rgb() -> None:
    """JPEG (inverted, as Adobe writes it) and TIFF."""
    cmyk = Image.fromarray(drawn()).convert("CMYK")
    expected = np.asarray(cmyk.convert("RGB"))
    assert off(decode(encoded(cmyk, "TIFF"), LIMITS).preview, expected) == 0
    assert off(decode(encoded(cmyk, "JPEG", quality=95), LIMITS).preview, expected) < 4


def test_lab_is_brought_to_rgb() -> None:
    """Lightness and two axes of colour, within what eight bits of them hold."""
    image = Image.fromarray(drawn())
    turn = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(image, turn)
    assert lab is not None
    assert off(decode(encoded(lab, "TIFF"), LIMITS).preview, drawn()) < 3


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("uint16", 257), ("int32", 257), ("int32", 1), ("float32", 1), ("float32", 1 / 255)],
)
def test_numbers_become_grey(dtype: str, scale: float) -> None:
    """Up to 1, 255 or 65535 means black to white, in 16 bits, whole numbers and fractions."""
    grey = drawn()[..., 0]
    grey[0, 0], grey[0, 1] = 0, 255
    image = Image.fromarray((grey * np.float64(scale)).round(6).astype(dtype))
    found = decode(encoded(image, "TIFF"), LIMITS).preview
    assert off(found, np.repeat(grey[..., None], 3, axis=2)) <= 0.01


def test_numbers_on_no_known_scale_are_spread() -> None:
    """Least to most is black to white; what is no number is black."""
    held = np.linspace(-500, 900, 64, dtype=np.float32).reshape(8, 8).copy()
    held[0, 0] = np.nan
    found = decode(encoded(Image.fromarray(held), "TIFF"), LIMITS).preview
    assert (found[0, 0, 0], found[0, 1, 0], found[7, 7, 0]) == (0, 0, 255)
    assert (np.diff(found[..., 0].ravel().astype(int)) >= 0).all()


def test_colour_profiles_are_applied() -> None:
    """A profile that has red and green exchanged exchanges them."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    crossed = plain.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")
    image = Image.new("RGB", (20, 20), (200, 30, 60))
    found = decode(encoded(image, "PNG", icc_profile=crossed), LIMITS).preview
    assert off(found, np.full((20, 20, 3), (30, 200, 60), np.uint8)) < 3
    same = decode(encoded(image, "PNG", icc_profile=plain), LIMITS).preview
    assert off(same, np.asarray(image)) == 0


def test_broken_profiles_are_ignored() -> None:
    """Rubbish, and a profile for another kind of picture."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = Image.new("RGB", (20, 20), (200, 30, 60))
    for profile in (b"rubbish", plain[:200], plain[:-40], lab):
        found = decode(encoded(image, "PNG", icc_profile=profile), LIMITS).preview
        assert off(found, np.asarray(image)) == 0
    grey = decode(encoded(image.convert("L"), "PNG", icc_profile=plain), LIMITS).preview
    assert off(grey, np.asarray(image.convert("L").convert("RGB"))) == 0


# --- size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (1, 1)),
        ((512, 512), (512, 512)),
        ((511, 3), (511, 3)),
        ((513, 300), (512, 299)),
        ((1024, 768), (512, 384)),
        ((3000, 2), (3000, 2)),
        ((2, 3000), (2, 3000)),
        ((2048, 512), (512, 128)),
        ((2000, 400), (640, 128)),
        ((300, 9000), (128, 3840)),
        ((9000, 20), (4096, 9)),
        ((1601, 1201), (512, 384)),
    ],
)
@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_previews_have_at_most_512_pixels_a_side(
    name: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """Never enlarged, longer for strips; the canonical size is that of the whole picture."""
    found = decode(encoded(Image.new("RGB", size, "teal"), name), LIMITS)
    assert (found.preview.shape[1], found.preview.shape[0]) == expected
    assert (found.width, found.height) == size
    assert (found.pixels_version == 1) == (max(expected) <= PREVIEW)
    assert off(found.preview, np.full_like(found.preview, (0, 128, 128))) < 2


@pytest.mark.parametrize("side", [700, 1300, 2200])
def test_reduced_decoding_keeps_the_picture(side: int) -> None:
    """A JPEG decoded at a fraction looks like a resize of the whole: a grey level or two off."""
    image = photo(3, side, side * 3 // 4)
    data = encoded(image, "JPEG", quality=95)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    size = (PREVIEW, round(image.height * PREVIEW / side))
    expected = np.asarray(whole.resize(size, Image.Resampling.LANCZOS))
    assert off(decode(data, LIMITS).preview, expected) < 2.5


def test_bands_leave_no_seams() -> None:
    """A large picture with alpha, flattened band by band, is the same as the plain one."""
    image = photo(4, 2400, 1100)
    clear = image.convert("RGBA")
    found = decode(encoded(clear, "TIFF"), LIMITS).preview
    assert off(found, decode(encoded(image, "TIFF"), LIMITS).preview) == 0


def test_decoding_twice_gives_the_same() -> None:
    """Pixels are a function of the bytes."""
    for data in FILES.values():
        assert np.array_equal(decode(data, LIMITS).preview, decode(data, LIMITS).preview)


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_is_cut_off_is_told_so(name: str, share: float) -> None:
    """Half of it, or all but its end."""
    data = FILES[name]
    with pytest.raises(BrokenError) as caught:
        decode(data[: int(len(data) * share)], LIMITS)
    assert caught.value.detail in (
        "the file ends in the middle of the picture",
        "the file ends in the middle of its header",
    )


SMALL = Limits(bytes=1_000_000, pixels=1_000_000, frames=50)
SIGNATURES = [data[:length] for data in FILES.values() for length in (2, 4, 12, 30)]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SIGNATURES), st.binary(max_size=200))
def test_rubbish_is_one_of_our_errors(signature: bytes, rest: bytes) -> None:
    """Any bytes after a signature are a picture or one of our errors, from both."""
    for look in (inspect, decode):
        with contextlib.suppress(SeenitError):
            look(signature + rest, SMALL)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32), st.integers(1, 12))
def test_damaged_files_are_one_of_our_errors(name: str, seed: int, count: int) -> None:
    """Bytes changed, taken out or doubled anywhere, most often in the header."""
    draw = random.Random(seed)
    data = bytearray(FILES[name])
    for _ in range(count):
        at = draw.randrange(min(len(data), draw.choice([40, 200, len(data)])))
        if draw.random() < 0.8:
            data[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        elif draw.random() < 0.5:
            del data[at : at + draw.randrange(1, 20)]
        else:
            data[at:at] = data[at : at + draw.randrange(1, 20)]
        data = data or bytearray(b"\0")
    with contextlib.suppress(SeenitError):
        header = inspect(bytes(data), SMALL)
        found = decode(bytes(data), SMALL)
        assert found.format == header.format
        assert max(found.preview.shape) <= LONGEST
