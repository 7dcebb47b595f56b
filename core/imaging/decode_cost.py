"""Estimate of the time a picture takes, from its header and its bytes, without decoding it."""

from __future__ import annotations

import mmap
from pathlib import Path

from core.imaging.frames import COMPARED, MOST_PIXELS
from core.types import Header

COSTLY_SECONDS = 1.5
"""Time from which a picture counts as costly: a JPEG of 100 megapixels with 30 MB has 1.3 s."""
PICTURE_SECONDS = 0.04
"""Time of any picture. Measured: 59 ms of CPU for photos of 500 x 375, on two cores."""
_PIXEL_SECONDS = {"JPEG": 0.6e-9, "PNG": 12e-9, "WEBP": 65e-9, "BMP": 3e-9, "PPM": 3e-9}
"""Time a pixel, for a JPEG in each of its scans. Measured: noise of 12 megapixels, flat pictures
in 10 to 310 scans, one thread."""
_PIXEL_SECONDS_ELSE = 80e-9
"""Time a pixel of AVIF, measured likewise; other formats take no longer."""
_BYTE_SECONDS = {"JPEG": 40e-9}
"""Time a byte of a JPEG's data; measured: progressive noise, 6 and 51 MB."""


def seconds(header: Header, source: Path | bytes) -> float:
    """Return the time in seconds that a file takes on one core, roughly; it is not empty."""
    if isinstance(source, bytes):
        return _seconds(header, source)
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _seconds(header, data)


def _seconds(header: Header, data: bytes | mmap.mmap) -> float:
    first = header.width * header.height
    pixels = min(first * min(header.frames, COMPARED), first + MOST_PIXELS)
    each = _PIXEL_SECONDS.get(header.format, _PIXEL_SECONDS_ELSE)
    if header.format == "JPEG":
        each *= max(1, _scans(data))
    found = PICTURE_SECONDS + pixels * each + len(data) * _BYTE_SECONDS.get(header.format, 0.0)
    return round(found, 3)


def _scans(data: bytes | mmap.mmap) -> int:
    """Return the number of scans of a JPEG; in its data the marker cannot occur otherwise."""
    found, place = 0, data.find(b"\xff\xda")
    while place >= 0:
        found, place = found + 1, data.find(b"\xff\xda", place + 2)
    return found
