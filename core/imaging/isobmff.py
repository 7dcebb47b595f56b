"""Size and frames of an AVIF or HEIF file, from its boxes (ISO 14496-12, 23008-12)."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import BrokenError
from core.imaging.byte_reader import ByteReader

_DEEPEST = 6
_MOST = 4096
"""Boxes that are read: real files have a few dozen."""
_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0} | {
    b"minf": 0,
    b"stbl": 0,
}
"""Boxes that contain others, and the number of their own bytes before those."""


def measure(source: ByteReader, _: int) -> tuple[int, int, int]:
    """Return width and height of the largest picture, and the frames of the longest track.

    Tiles, thumbnails and masks have sizes of their own, never larger than their picture. Raise
    BrokenError if there is no size.
    """
    sizes: list[tuple[int, int]] = []
    frames = 1
    for kind, offset, length in _walk(source, 0, source.size, 0, [0]):
        if kind == b"ispe" and length >= 12:  # noqa: PLR2004 - version, flags, width, height
            sizes.append((source.number(offset + 4, 4), source.number(offset + 8, 4)))
        elif kind == b"tkhd" and length >= 84:  # noqa: PLR2004 - 16.16 fixed point at its end
            sizes.append(
                (source.number(offset + length - 8, 2), source.number(offset + length - 4, 2))
            )
        elif kind == b"stsz" and length >= 12:  # noqa: PLR2004 - samples of a track
            # at least two: the picture that is decoded need not be one of a track's
            frames = max(frames, 2, source.number(offset + 8, 4))
    if not sizes:
        raise BrokenError("the file does not tell the picture's size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height, frames


def beyond(data: bytes) -> bool:
    """Return whether the last of the outermost boxes ends after the file."""
    offset = 0
    for _ in range(_MOST):
        length = int.from_bytes(data[offset : offset + 4], "big")
        if length == 1:
            length = int.from_bytes(data[offset + 8 : offset + 16], "big")
        if length < 8 or offset + length >= len(data):  # noqa: PLR2004 - a box's own head
            return offset + length > len(data)
        offset += length
    return False


def _walk(
    source: ByteReader, offset: int, end: int, depth: int, seen: list[int]
) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of each box's content, nested boxes included."""
    while offset + 8 <= end and seen[0] < _MOST:
        seen[0] += 1
        length, kind, head = source.number(offset, 4), source.at(offset + 4, 4), 8
        if length == 1 and offset + 16 <= end:
            length, head = source.number(offset + 8, 8), 16
        elif length == 0:
            length = end - offset
        stop = min(offset + length, end)
        if length < head:
            break
        yield kind, offset + head, stop - offset - head
        if kind in _INSIDE and depth < _DEEPEST:
            yield from _walk(source, offset + head + _INSIDE[kind], stop, depth + 1, seen)
        offset = stop


def color_coding(source: ByteReader) -> tuple[int, int] | None:
    """Return primaries and transfer characteristics (`colr`, `nclx`) of the primary picture.

    A file with a gain map has another coding for its HDR alternative, so the properties that belong
    to the primary item count alone. None without a coding, or if the boxes make no sense.
    """
    primary, codings, owners = -1, dict[int, tuple[int, int]](), dict[int, set[int]]()
    try:
        for kind, offset, length in _walk(source, 0, source.size, 0, [0]):
            if kind == b"pitm":
                wide = source.number(offset, 1) > 0
                primary = source.number(offset + 4, 4 if wide else 2)
            elif kind == b"ipco":
                codings = _codings(source, offset, offset + length)
            elif kind == b"ipma":
                owners |= _owners(source, offset)
    except BrokenError:
        return None
    mine = owners.get(primary, set())
    return next((coding for number, coding in codings.items() if number in mine), None)


def _codings(source: ByteReader, offset: int, end: int) -> dict[int, tuple[int, int]]:
    """Return the colour codings among an item property container's boxes, by their number."""
    found: dict[int, tuple[int, int]] = {}
    for number in range(1, _MOST):
        if offset + 8 > end:
            break
        length = source.number(offset, 4)
        if source.at(offset + 4, 4) == b"colr" and source.at(offset + 8, 4) == b"nclx":
            found[number] = source.number(offset + 12, 2), source.number(offset + 14, 2)
        offset += max(8, length)
    return found


def _owners(source: ByteReader, offset: int) -> dict[int, set[int]]:
    """Return the numbers of the properties that belong to each item (`ipma`)."""
    version, flags = source.number(offset, 1), source.number(offset + 3, 1)
    width, size = 4 if version else 2, 2 if flags & 1 else 1
    count, offset = source.number(offset + 4, 4), offset + 8
    found: dict[int, set[int]] = {}
    for _ in range(min(count, _MOST)):
        item, held = source.number(offset, width), source.number(offset + width, 1)
        offset += width + 1
        mask = 0x7FFF if size == 2 else 0x7F  # noqa: PLR2004 - the top bit says "essential"
        numbers = (source.number(offset + size * n, size) & mask for n in range(held))
        found.setdefault(item, set()).update(numbers)
        offset += size * held
    return found
