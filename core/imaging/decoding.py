"""Canonical pixels: any supported file as an upright 8-bit sRGB preview.

The order is chosen for speed and bounded memory: declared sizes first, then a decode at reduced
scale where the format can (JPEG), then flattening (palette, alpha over a ground on which the
drawing shows, 16 bits, numbers) and averaging band by band, then one resize, and only then, on the
small picture, colours (CMYK, LAB, ICC profile, PQ, HLG, gamma) and the EXIF orientation. An
animation or scan is represented by the first frame in which something shows.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from core.errors import SeenitError
from core.imaging import (
    cicp,
    flattening,
    frames,
    headers,
    large_preview,
    orientation,
    tiff,
    transparency,
)
from core.imaging.byte_reader import ByteReader
from core.imaging.cicp import ColorCoding
from core.imaging.color_profiles import to_rgb
from core.imaging.decoder_faults import FAULTS, translated
from core.types import Canonical, Header, Limits, Pixels

PIXELS_VERSION = 1
"""First version of everything in this package that shapes a preview."""
NEWEST_PIXELS_VERSION = 2
"""Version of a preview that came out otherwise in version 1. It is kept with every fingerprint; a
preview that later rules do not change keeps its version."""
PREVIEW = 512
"""Long side of a preview in pixels: PDQ from it is within 1 bit of that of the full picture."""
STRIP = 128
"""Short side that the preview of a strip keeps, where the picture has it: eight blocks of the
comparison. A picture of 16,000 by 400 would be 13 pixels high at 512."""
LONGEST = 4096
"""Long side of a strip's preview, at most: twice the pixels of a square preview."""


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
    with _opened(data, header, limits) as opened:
        canonical, number = _canonical(opened, header, limits)
    if large_preview.drawn(canonical.preview):
        large = _large(data, header, limits, number, canonical)
        return msgspec.structs.replace(canonical, large=large)
    return canonical


def whole(data: bytes, limits: Limits) -> Image.Image:
    """Decode a trusted picture at its full size, upright, as RGB.

    Raise as `decode` does.
    """
    with _opened(data, inspect(data, limits), limits) as opened:
        upright = opened.image.convert("RGB")
        for turn in orientation.read(opened.image).turns:
            upright = upright.transpose(turn)
        return upright


class _Opened(NamedTuple):
    """A file at its first frame."""

    image: ImageFile.ImageFile
    places: Sequence[int]
    """Places of its frames, for `seek`."""
    coding: ColorCoding | None
    moved: bool
    """Whether version 1 of the pixels had another frame as the first."""


@contextmanager
def _opened(data: bytes, header: Header, limits: Limits) -> Iterator[_Opened]:
    """Open a file with the decoder of its signature, and translate faults while it is open."""
    with translated(header.format, data), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places: Sequence[int] = range(header.frames)
        begins = 0
        if header.format == "TIFF":
            _, _, places, begins = tiff.pages(ByteReader(io.BytesIO(data)), limits.frames)
        moved = begins > 0 or places[0] > 0
        with _OPENERS[header.format](io.BytesIO(data[begins:])) as image:
            if places[0] > 0:
                image.seek(places[0])
            _allow(image, limits)
            yield _Opened(image, places, cicp.read(data, header.format, image.info), moved)


def _allow(image: Image.Image, limits: Limits) -> None:
    """Raise UnsupportedError if a page of a TIFF is packed in a format that is off."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        headers.allow(_PACKED.get(image.info.get("compression", ""), "TIFF"), limits)


class _Frame(NamedTuple):
    """Canonical pixels of one frame."""

    preview: Pixels
    width: int
    height: int
    hides: bool
    changed: bool
    """Whether version 1 of the pixels was another picture."""


def _canonical(opened: _Opened, header: Header, limits: Limits) -> tuple[Canonical, int]:
    """Return canonical pixels, and the number of the frame that they show."""
    number = 0
    first = _frame(opened, header, limits)
    chosen = first._replace(changed=first.changed or opened.moved)
    compared, digest, hides = 1, "", first.hides
    if header.frames > 1 and header.format != "HEIF":  # its other pictures are no frames
        shown = frames.shows(first.preview)
        digests = hashlib.sha256(frames.digest(first.preview, first.width, first.height))
        for frame in _later_frames(opened, header, limits):
            compared += 1
            digests.update(frames.digest(frame.preview, frame.width, frame.height))
            hides = hides or frame.hides
            if not shown and frames.shows(frame.preview):
                chosen, shown, number = frame._replace(changed=True), True, compared - 1
        digest = digests.hexdigest()
    canonical = Canonical(
        chosen.preview,
        chosen.width,
        chosen.height,
        header.format,
        header.frames,
        hides,
        pixels_version=NEWEST_PIXELS_VERSION if chosen.changed else PIXELS_VERSION,
        frames_compared=compared,
        frames_sha256=digest,
        hdr=opened.coding.hdr if opened.coding else None,
    )
    return canonical, number


def _large(data: bytes, header: Header, limits: Limits, number: int, canonical: Canonical) -> bytes:
    """Decode a drawn picture once more for its large preview; no bytes if that shows no more."""
    enlarged = large_preview.enlarged(canonical.preview)
    large = preview_size(canonical.width, canonical.height, enlarged)
    if not large_preview.grows(canonical.preview.shape[1::-1], large):
        return b""
    with _opened(data, header, limits) as opened:
        opened.image.seek(opened.places[number])
        pixels = _frame(opened, header, limits, enlarged).preview
    return large_preview.encode(pixels)


def _later_frames(opened: _Opened, header: Header, limits: Limits) -> Iterator[_Frame]:
    """Yield the frames to compare after the first; a damaged or too large one ends them.

    Their number depends on the file alone, never on time.
    """
    left = frames.MOST_PIXELS - opened.image.width * opened.image.height
    for place in opened.places[1 : frames.COMPARED]:
        try:
            opened.image.seek(place)
            left -= opened.image.width * opened.image.height
            if left < 0:
                return
            _allow(opened.image, limits)
            frame = _frame(opened, header, limits)
        except (*FAULTS, NotImplementedError, SeenitError):
            return
        yield frame


def _frame(opened: _Opened, header: Header, limits: Limits, enlarged: float = 1.0) -> _Frame:
    """Decode the frame at which the file stands, to a preview or one that is so much larger."""
    whole, extent = _load(opened.image, header, limits, enlarged)
    upright = orientation.read(opened.image)
    image, unused = _without_unused_alpha(opened.image, header.format)
    ground, scale = transparency.choose(image), flattening.scale(image)
    size = preview_size(*whole, enlarged)
    small = flattening.shrink(image, size, extent, ground.level, scale)
    turned = to_rgb(small, None if opened.coding else image.info.get("icc_profile"))
    if opened.coding:
        turned = cicp.to_srgb(turned, opened.coding)
    for turn in upright.turns:
        turned = turned.transpose(turn)
    recoloured = opened.coding is not None or (scale is not None and scale.changed)
    width, height = whole[::-1] if upright.sideways else whole
    return _Frame(
        np.array(turned, dtype=np.uint8),
        width,
        height,
        hides=ground.hides,
        changed=recoloured
        or upright.changed
        or unused
        or ground.level != transparency.WHITE
        or max(size) > PREVIEW,
    )


def _load(
    image: ImageFile.ImageFile, header: Header, limits: Limits, enlarged: float
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Decode a frame; return the size of the whole picture, and that of its valid pixels."""
    whole = image.size
    # again: a file can tell its decoder another size
    headers.within(Header(header.format, *whole, header.frames), limits)
    wanted = preview_size(*whole, enlarged)
    drafted = image.draft("", wanted) if header.format == "JPEG" else None
    image.load()
    headers.within(Header(header.format, *image.size, header.frames), limits)
    if drafted is None:
        return image.size, image.size  # HEIF tells the true one when it is decoded
    return whole, drafted[1][2:]


def _without_unused_alpha(image: Image.Image, format: str) -> tuple[Image.Image, bool]:  # noqa: A002
    """Drop the alpha of a BMP in which it is 0 everywhere, and return whether that was so."""
    unused = format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox()
    return (image.convert("RGB"), True) if unused else (image, False)


def preview_size(width: int, height: int, enlarged: float = 1.0) -> tuple[int, int]:
    """Scale a size to a long side of PREVIEW, or a longer one that leaves a short side of STRIP.

    Never enlarge, never go beyond LONGEST or below one pixel. All three are multiplied by
    `enlarged`.
    """
    scale = max(PREVIEW / max(width, height), STRIP / min(width, height))
    scale = min(1.0, enlarged * min(scale, LONGEST / max(width, height)))
    return max(1, round(width * scale)), max(1, round(height * scale))
