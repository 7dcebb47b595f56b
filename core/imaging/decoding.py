"""Canonical pixels: any supported file as upright 8-bit sRGB of at most 512 pixels.

The order is chosen for speed and bounded memory: declared sizes first, then a decode at reduced
scale where the format can (JPEG), then flattening (palette, alpha over white, 16 bits, numbers) and
averaging band by band, then one resize, and only then, on the small picture, colours (CMYK, LAB,
ICC profile) and the EXIF orientation.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from core.errors import BrokenError, DecoderKilledError, UnsupportedError
from core.imaging import headers
from core.imaging.color_profiles import to_rgb
from core.types import Canonical, Header, Limits, Pixels

PIXELS_VERSION = 1
"""Version of everything in this module that shapes a preview; kept with every fingerprint."""
PREVIEW = 512
"""Long side of a preview in pixels: PDQ from it is within 1 bit of that of the full picture."""
_GAP = 2
"""A picture is averaged down to no less than twice the preview before it is resized (Pillow's
`reducing_gap`: from 2.0 on the result hardly differs from a resize of the whole)."""
_FILTER = Image.Resampling.HAMMING
"""Two thirds of bicubic's time; drafted JPEGs then lie 45 dB from a Lanczos resize of the whole
(bicubic: 48 dB; measured on 2-megapixel JPEGs)."""
_BAND = 1_000_000
"""Pixels flattened at a time: 4 MB as RGBA, 8 MB as numbers, at any size of the picture."""
_CLEAR = 32
"""Alpha below which a pixel belongs to the ground; fainter ones are edges and shadows."""
_WHITE = 232
"""Grey over white from which a drawing is nearly invisible: a tenth of the way to black."""
_ORIENTATION = 0x0112


def _heif(stream: io.BytesIO) -> ImageFile.ImageFile:
    """Open a HEIC file; the first one loads libheif, so it is never loaded where HEIC is off."""
    import pi_heif  # noqa: PLC0415 - see above

    image: ImageFile.ImageFile = pi_heif.HeifImageFile(stream)
    return image


_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": _heif,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
"""Openers by the format name of the signature: no other Pillow decoder ever sees the bytes."""

_PACKED = {"jpeg": "JPEG", "tiff_jpeg": "JPEG", "webp": "WEBP"}
"""Compressions of a TIFF that are formats themselves, by Pillow's names: the same decoders."""

_TURNS: dict[int, tuple[Image.Transpose, ...]] = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
"""Transpositions that bring a picture upright, by its EXIF orientation (Exif 2.32, 4.6.4 A)."""

_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""Exceptions that Pillow and its plugins raise on bad files, and their neighbours."""
_CUT = ("truncat", "end of", "eof", "not enough", "incomplete", "unexpected end", "no more images")

_PLAIN = re.compile(r"[\w ,.;:%/+=-]{1,200}", re.ASCII)

_CUT_OFF = "the file ends in the middle of the picture"
_HUNGRY = "decoding it needed more memory than is allowed"


def inspect(source: bytes | Path | BinaryIO, limits: Limits) -> Header:
    """Read format, declared size and frames without decoding; safe in any process.

    Raise TooLargeError, UnsupportedError or BrokenError.
    """
    if isinstance(source, bytes):
        return headers.read(io.BytesIO(source), limits)
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return headers.read(stream, limits)
    return headers.read(source, limits)


def beginning(path: Path, limits: Limits) -> bytes:
    """Read a file; if it is too large, only enough bytes for its refusal."""
    with path.open("rb") as stream:
        return stream.read(limits.bytes + 1)


def decode(data: bytes, limits: Limits) -> Canonical:
    """Decode a picture to canonical pixels.

    Raise TooLargeError, UnsupportedError, BrokenError or DecoderKilledError, nothing else. The C
    code of the decoders runs in this process: decode untrusted bytes in `adapters.decoding.pool`.
    """
    header = inspect(data, limits)
    with _opened(data, header, limits) as image:
        return _canonical(image, header, limits)


def whole(data: bytes, limits: Limits) -> Image.Image:
    """Decode a trusted picture at its full size, upright, as RGB.

    Raise as `decode` does.
    """
    with _opened(data, inspect(data, limits), limits) as image:
        upright = image.convert("RGB")
        for turn in _TURNS.get(_orientation(image), ()):
            upright = upright.transpose(turn)
        return upright


@contextmanager
def _opened(data: bytes, header: Header, limits: Limits) -> Iterator[ImageFile.ImageFile]:
    """Open a file with the decoder of its signature, and translate faults while it is open."""
    with _translated(header.format, data), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _OPENERS[header.format](io.BytesIO(data)) as image:
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                headers.allow(_PACKED.get(image.info.get("compression", ""), "TIFF"), limits)
            yield image


@contextmanager
def _translated(name: str, data: bytes) -> Iterator[None]:
    """Translate any exception of a decoder into one of our errors, in plain words."""
    try:
        yield
    except MemoryError:
        raise DecoderKilledError(_HUNGRY) from None
    except NotImplementedError as fault:
        raise _unsupported(name, _words(fault)) from fault
    except _FAULTS as fault:
        if headers.cut_off(data):
            raise BrokenError(_CUT_OFF) from fault
        raise _named(name, fault) from fault


def _named(name: str, fault: Exception) -> BrokenError | UnsupportedError:
    """Make an error from a decoder's message, without the parts that mean nothing to a person."""
    low, said = str(fault).lower(), _words(fault)
    if any(word in low for word in ("allocate memory", "out of memory", "memory limit")):
        return DecoderKilledError(_HUNGRY)
    if any(word in low for word in _CUT):
        return BrokenError(_CUT_OFF)
    if "unsupported" in low or "not supported" in low:
        return _unsupported(name, said)
    if not said or "decoder error" in low or not isinstance(fault, OSError | ValueError):
        return BrokenError(f"the {name} file is damaged")
    return BrokenError(f"the {name} file is damaged ({said})")


def _unsupported(name: str, said: str) -> UnsupportedError:
    why = f" ({said})" if said else ""
    return UnsupportedError(f"this kind of {name} file is not read here{why}")


def _words(fault: Exception) -> str:
    """Return a decoder's message if it is plain words, and nothing if Python itself raised it.

    Brackets and quotes reveal the latter: `invalid literal for int() with base 10: b'x'`.
    """
    said = " ".join(str(fault).split())
    return said if _PLAIN.fullmatch(said) and not isinstance(fault, UnicodeError) else ""


def _canonical(image: ImageFile.ImageFile, header: Header, limits: Limits) -> Canonical:
    width, height = image.size
    # again: a file can tell its decoder another size
    headers.within(Header(header.format, width, height, header.frames), limits)
    size = _preview_size(width, height)
    drafted = image.draft("", size) if header.format == "JPEG" else None
    image.load()
    headers.within(Header(header.format, *image.size, header.frames), limits)
    if drafted is None:
        width, height = image.size  # HEIF tells the true one when it is decoded
        size = _preview_size(width, height)
    box = drafted[1] if drafted else (0, 0, width, height)
    turned = to_rgb(_shrunk(image, size, (box[2], box[3])), image.info.get("icc_profile"))
    orientation = _orientation(image)
    for turn in _TURNS.get(orientation, ()):
        turned = turned.transpose(turn)
    if orientation >= 5:  # noqa: PLR2004 - the four that lie on their side
        width, height = height, width
    preview: Pixels = np.array(turned, dtype=np.uint8)
    return Canonical(preview, width, height, header.format, header.frames, _hides(image))


def _hides(image: Image.Image) -> bool:
    """Return whether a drawing on a transparent ground is as white as the white below it."""
    if not image.has_transparency_data:
        return False
    if image.mode in ("RGBA", "LA") and not any(image.getchannel("A").histogram()[:_CLEAR]):
        return False  # no ground is clear, as in most screenshots
    clear = drawn = False
    for band in _bands(image, 1):
        seen = np.asarray(band.convert("RGBA"))
        alpha = seen[..., 3]
        over_white = 255 - (255 - seen[..., :3].min(axis=2).astype(np.uint16)) * alpha // 255
        clear = clear or bool((alpha < _CLEAR).any())
        drawn = drawn or bool(((alpha >= _CLEAR) & (over_white >= _WHITE)).any())
        if clear and drawn:
            return True
    return False


def _preview_size(width: int, height: int) -> tuple[int, int]:
    """Scale a size to a long side of at most PREVIEW; never enlarge, never below one pixel."""
    scale = min(1.0, PREVIEW / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; 1 if absent, if EXIF is broken, or for TIFF (already upright)."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except _FAULTS:
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _shrunk(image: Image.Image, size: tuple[int, int], extent: tuple[float, float]) -> Image.Image:
    """Flatten to L, RGB, CMYK or LAB, average by a whole factor, then resize to `size`.

    `extent` is the valid part of the picture, in its pixels: the last column of a JPEG decoded at
    half scale may be only half covered.
    """
    factor = max(1, int(min(image.width / size[0], image.height / size[1]) / _GAP))
    plain = _plain(image, factor)
    if plain.size == size:
        return plain
    box = (0.0, 0.0, extent[0] / factor, extent[1] / factor)
    return plain.resize(size, _FILTER, box=box)


def _plain(image: Image.Image, factor: int) -> Image.Image:
    """Flatten and average, in bands if that needs an intermediate picture."""
    if image.mode in ("L", "RGB", "CMYK", "LAB") and not image.has_transparency_data:
        return image.reduce(factor) if factor > 1 else image
    flatten = _flattening(image)
    whole: Image.Image | None = None
    top = 0
    for raw in _bands(image, factor):
        band = flatten(raw).reduce(factor) if factor > 1 else flatten(raw)
        if whole is None:
            whole = Image.new(band.mode, (band.width, -(-image.height // factor)))
        whole.paste(band, (0, top))
        top += band.height
    if whole is None:
        raise BrokenError("the picture has no pixels")
    return whole


def _flattening(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return the function that flattens a band of this picture to eight bits without alpha."""
    if image.mode.startswith(("I", "F")):
        return _ramp(image)
    if image.has_transparency_data:
        return _over_white
    return lambda band: band.convert("L" if band.mode == "1" else "RGB")


def _over_white(band: Image.Image) -> Image.Image:
    seen = band.convert("RGBA")
    ground = Image.new("RGB", band.size, "white")
    ground.paste(seen, mask=seen.getchannel("A"))
    return ground


def _ramp(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Map numbers to grey: 0 to 1, 255 or 65535 if all lie there, else least to greatest.

    16-bit pictures always use their full scale, as every viewer does.
    """
    low, high = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        least, most = _extrema(image)
        scale = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        tops = [top for top in scale if least >= 0 and most <= top]
        low, high = (0.0, tops[0]) if tops else (least, max(most, least + 1.0))

    def flatten(band: Image.Image) -> Image.Image:
        held = np.nan_to_num(np.asarray(band, np.float32), nan=low, posinf=high, neginf=low)
        grey = (held - low) * (255.0 / (high - low)) + 0.5
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))

    return flatten


def _extrema(image: Image.Image) -> tuple[float, float]:
    """Return the least and the greatest finite value."""
    least, most = np.inf, -np.inf
    for band in _bands(image, 1):
        held = np.asarray(band)
        finite = held[np.isfinite(held)]
        if finite.size:
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
    return (least, most) if least <= most else (0.0, 0.0)


def _bands(image: Image.Image, multiple: int) -> Iterator[Image.Image]:
    """Yield the picture from top to bottom in bands of a multiple of so many rows."""
    rows = max(1, _BAND // image.width // multiple) * multiple
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))
