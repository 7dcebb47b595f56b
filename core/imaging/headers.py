"""Format, size and frames of a file, parsed from its header without a decoder.

Plain Python over bytes: a hostile file can at worst be misread here, it cannot take over the
process, and `read` turns every exception of a format's reader into an error of this file alone. The
formats are JPEG, PNG, GIF, WebP, AVIF, HEIF, TIFF, BMP and binary PPM. Layouts follow the
specifications of the formats (ITU T.81, RFC 2083, GIF89a, RFC 9649, ISO 14496-12 and 23008-12, TIFF
6.0 and BigTIFF).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from core import image_formats
from core.errors import BrokenError, SeenitError, TooLargeError, UnsupportedError
from core.imaging import camera_raw, isobmff, tiff
from core.imaging.byte_reader import ByteReader
from core.types import Header, Limits

_SIGNED = 64
"""Bytes that are searched for a signature."""
_BRANDS = 1024
"""Bytes of an AVIF or HEIF file that are searched for its brands."""
_LONGEST = 2**31 - 1
"""Pixels of a side above which the size is not reported: the formats' own fields end there."""
_DIGITS = len(str(_LONGEST)) + 1
"""Digits read of a number in text form: with these it exceeds _LONGEST already."""
_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
"""Marker of a JPEG's segment that has a length, or of the end; decoders too skip stray and fill
bytes before it, and markers without a length."""
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc"),
    *(b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
}
_OTHERS = (
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x01\x00", "icon"),
    (b"DDS ", "DirectDraw"),
    (b"BLP", "Blizzard"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"SIMPLE  =", "FITS"),
)
"""Signatures of unsupported formats, so that the error can name them."""

logger = logging.getLogger(__name__)


def read(stream: BinaryIO, limits: Limits) -> Header:
    """Read the format and the declared size, within `limits`.

    Raise TooLargeError, UnsupportedError or BrokenError, in words for the sender of the file.
    """
    source = ByteReader(stream)
    if source.size == 0:
        raise BrokenError("the file is empty")
    if source.size > limits.bytes:
        raise TooLargeError(
            f"the file has {_megabytes(source.size)}; the limit is {_megabytes(limits.bytes)}"
        )
    name, reading = _recognise(source, limits)
    allow(name, limits)
    with _translated(name):
        width, height, frames = reading(source, limits.frames)
    header = Header(format=name, width=width, height=height, frames=frames)
    within(header, limits)
    return header


def allow(name: str, limits: Limits) -> None:
    """Raise UnsupportedError if a format, by Pillow's name, is not decoded by this service."""
    wanted = image_formats.setting(name)
    if wanted not in limits.formats:
        raise UnsupportedError(
            f"{image_formats.titles([wanted])} is off here; what is read: "
            f"{image_formats.titles(limits.formats)}. Send the picture as one of these, or "
            f"have the operator add {wanted} to SEENIT_FORMATS"
        )


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn an unforeseen exception of a format's reader into an error of this file alone.

    OSError passes unchanged: it is the disk's fault, not the file's.
    """
    try:
        yield
    except (SeenitError, OSError):
        raise
    except Exception:  # one file never fails its neighbours, whatever its header does to us
        logger.warning("header_reader_failed", exc_info=True, extra={"format": name})
        title = image_formats.titles([image_formats.setting(name)])
        raise BrokenError(f"the {title} file's header makes no sense") from None


def within(header: Header, limits: Limits) -> None:
    """Raise TooLargeError or BrokenError unless the declared size may be decoded."""
    if header.width < 1 or header.height < 1:
        raise BrokenError(
            f"the picture says that it is {header.width} by {header.height} pixels large"
        )
    if max(header.width, header.height) > _LONGEST:
        raise TooLargeError(
            f"the picture says that a side of it has over {_LONGEST:,} pixels; "
            f"the limit is {limits.pixels / 1e6:,.10g} million in all"
        )
    if header.width * header.height > limits.pixels:
        raise TooLargeError(
            f"the picture has {header.width} by {header.height} pixels, that is "
            f"{header.width * header.height / 1e6:,.1f} million; "
            f"the limit is {limits.pixels / 1e6:,.10g} million"
        )
    if header.frames > limits.frames:
        raise TooLargeError(f"the animation has more than {limits.frames:,} frames")


def cut_off(data: bytes) -> bool:
    """Return whether a container declares bytes past the file's end that its decoder ignores.

    Other formats' decoders report it themselves, or declare no length.
    """
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return data[4:8] == b"ftyp" and isobmff.beyond(data)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.10g} MB" if count % 2**20 == 0 else f"{count / 2**20:,.2f} MB"


def recognises(start: bytes) -> bool:
    """Return whether a file that begins with these bytes has a supported format."""
    return _known(start) is not None


def foreign(start: bytes) -> str | None:
    """Name the format of a file that begins with these bytes, if known and unsupported."""
    if raw := camera_raw.of_signature(start):
        return f"camera raw ({raw})"
    known = next((name for signature, name in _OTHERS if start.startswith(signature)), None)
    return "SVG" if known is None and b"<svg" in start.lower() else known


_Reading = Callable[[ByteReader, int], tuple[int, int, int]]


def _recognise(source: ByteReader, limits: Limits) -> tuple[str, _Reading]:
    """Return the format, by Pillow's name, and the reader of its header."""
    start = source.start(_BRANDS)
    found = _known(start)
    if found is not None:
        return found
    if raw := camera_raw.of_signature(start):
        raise UnsupportedError(camera_raw.refusal(raw))
    named = foreign(start[:_SIGNED])
    what = f"{named} files are" if named else "this kind of file is"
    raise UnsupportedError(
        f"{what} not read here; what is read: {image_formats.titles(limits.formats)}"
    )


def _known(start: bytes) -> tuple[str, _Reading] | None:
    for signatures, name, reading in _FORMATS:
        if start.startswith(signatures):
            return name, reading
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP", _webp
    if start[:2] in (b"P4", b"P5", b"P6") and start[2:3].isspace():
        return "PPM", _ppm
    if start[4:8] == b"ftyp" and (brand := _brand(start)):
        return brand, isobmff.measure
    return None


def _brand(start: bytes) -> str | None:
    """Tell AVIF from HEIF by the major brand of their common container, else by the others."""
    length = min(int.from_bytes(start[:4], "big"), len(start))
    brands = [start[8:12], *(start[i : i + 4] for i in range(16, length - 3, 4))]
    if brands[0] in _AVIF_BRANDS:
        return "AVIF"
    if brands[0] in _HEIF_BRANDS:
        return "AVIF" if _AVIF_BRANDS.intersection(brands) else "HEIF"
    return None


def _jpeg(source: ByteReader, _: int) -> tuple[int, int, int]:
    """Walk the segments to the frame header (SOF0 to SOF15 but DHT, JPG and DAC)."""
    offset = 2
    while True:
        offset = source.search(_SEGMENT, offset, 2)
        marker = source.number(offset + 1, 1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004
            return source.number(offset + 7, 2), source.number(offset + 5, 2), 1
        if marker in (0xD9, 0xDA):
            raise BrokenError("the picture's data begin before its size is given")
        offset += 2 + max(2, source.number(offset + 2, 2))


def _png(source: ByteReader, _: int) -> tuple[int, int, int]:
    """Read IHDR, which comes first, and acTL of an animation, which precedes the first IDAT."""
    if source.at(12, 4) != b"IHDR":
        raise BrokenError("the PNG's header is not where it must be")
    width, height, frames = source.number(16, 4), source.number(20, 4), 1
    offset = 33
    while offset + 8 <= source.size:
        kind = source.at(offset + 4, 4)
        if kind == b"acTL":
            # at least two: its default image need not be one of the frames that are shown
            frames = max(2, source.number(offset + 8, 4))
        if kind in (b"IDAT", b"IEND"):
            break
        offset += 12 + source.number(offset, 4)
    return width, height, frames


def _gif(source: ByteReader, most: int) -> tuple[int, int, int]:
    """Walk the blocks; the canvas grows with a frame that extends beyond it."""
    width, height = source.number(6, 2, big=False), source.number(8, 2, big=False)
    offset, frames = 13 + _table(source.number(10, 1)), 0
    while offset < source.size and frames <= most:
        kind = source.number(offset, 1)
        if kind == 0x21:  # noqa: PLR2004 - extension: a label, then blocks
            offset = _blocks(source, offset + 2)
        elif kind == 0x2C and offset + 10 <= source.size:  # noqa: PLR2004 - a frame
            left, top, across, down = (
                source.number(offset + i, 2, big=False) for i in (1, 3, 5, 7)
            )
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            offset = _blocks(source, offset + 11 + _table(source.number(offset + 9, 1)))
        elif kind == 0x3B:  # noqa: PLR2004 - the trailer
            break
        else:
            offset += 1  # padding, which decoders skip too
    return width, height, max(1, frames)


def _table(flags: int) -> int:
    """Return the bytes of a GIF's colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(source: ByteReader, offset: int) -> int:
    """Return the offset after a chain of data blocks, or the end of a truncated file."""
    while offset < source.size:
        length = source.number(offset, 1)
        offset += 1 + length
        if length == 0:
            break
    return offset


def _webp(source: ByteReader, most: int) -> tuple[int, int, int]:
    """Read VP8 (lossy), VP8L (lossless) or VP8X (extended: canvas, then frames)."""
    kind = source.at(12, 4)
    if kind == b"VP8 ":
        if source.at(23, 3) != b"\x9d\x01\x2a":
            raise BrokenError("the WebP's first frame has no start code")
        across, down = source.number(26, 2, big=False), source.number(28, 2, big=False)
        return across & 0x3FFF, down & 0x3FFF, 1
    if kind == b"VP8L":
        bits = source.number(21, 4, big=False)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    if kind != b"VP8X":
        raise BrokenError("the WebP's first chunk is of an unknown kind")
    width, height = (source.number(offset, 3, big=False) + 1 for offset in (24, 27))
    frames = 0
    for chunk in _chunks(source, 12):
        frames += chunk == b"ANMF"
        if frames > most:
            break
    return width, height, max(1, frames)


def _chunks(source: ByteReader, offset: int) -> Iterator[bytes]:
    """Yield the kinds of a RIFF file's chunks."""
    while offset + 8 <= source.size:
        yield source.at(offset, 4)
        length = source.number(offset + 4, 4, big=False)
        offset += 8 + length + (length & 1)


def _bmp(source: ByteReader, _: int) -> tuple[int, int, int]:
    """Read 16-bit sizes of OS/2's header, else 32-bit ones; a negative height is upside down."""
    if source.number(14, 4, big=False) == 12:  # noqa: PLR2004 - OS/2
        return source.number(18, 2, big=False), source.number(20, 2, big=False), 1
    height = int.from_bytes(source.at(22, 4), "little", signed=True)
    return source.number(18, 4, big=False), abs(height), 1


def _ppm(source: ByteReader, _: int) -> tuple[int, int, int]:
    """Read the first two numbers, width and height; comments run to the end of their line."""
    words: list[bytes] = []
    for line in source.start(4096)[2:].splitlines():
        words += line.split(b"#", 1)[0].split()
        if len(words) >= 2:  # noqa: PLR2004 - width and height
            break
    if len(words) < 2 or not all(word.isdigit() for word in words[:2]):  # noqa: PLR2004
        raise BrokenError("the PPM does not tell its size")
    width, height = (int(word.lstrip(b"0")[:_DIGITS] or b"0") for word in words[:2])
    return width, height, 1


_FORMATS: tuple[tuple[tuple[bytes, ...], str, _Reading], ...] = (
    ((b"\xff\xd8\xff",), "JPEG", _jpeg),
    ((b"\x89PNG\r\n\x1a\n",), "PNG", _png),
    ((b"GIF87a", b"GIF89a"), "GIF", _gif),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF", tiff.measure),
    ((b"BM",), "BMP", _bmp),
)
