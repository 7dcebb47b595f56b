"""Pages of a TIFF or BigTIFF, from its directories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from core.errors import BrokenError, UnsupportedError
from core.imaging import camera_raw
from core.imaging.byte_reader import ByteReader

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC = 254, 255, 256, 257, 262
_MAKE, _SUB_DIRECTORIES, _DNG_VERSION = 271, 330, 50706
_WANTED = {
    *(_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC),
    *(_MAKE, _SUB_DIRECTORIES, _DNG_VERSION),
}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
"""Bytes of a value by its field type; values of other types are not needed here."""
_BESIDE = 1 | 4
"""Bits of NewSubfileType: a reduced version of another page, and a transparency mask."""
_REDUCED = 2
"""SubfileType, the predecessor of NewSubfileType, of a reduced version."""
_VALUES = 64
"""Values of a field that are read: a camera's make, or offsets of directories."""
_SIGNATURES = (b"II*\0", b"MM\0*")
_ALIGNED = 16
"""Bytes to which Pillow aligns a page that it appends."""
_FIELDS = 4_096
"""Fields of a directory that are read; cameras write under two hundred."""
_APPENDED = 4
"""Places that are tried as the beginning of an appended TIFF."""

_Directory = dict[int, tuple[int, ...]]


class Pages(NamedTuple):
    """Pages that are pictures of their own, without thumbnails and masks."""

    width: int
    height: int
    """Height of the first of them, in pixels."""
    places: tuple[int, ...]
    """Places in the chain of directories."""
    begins: int = 0
    """Offset in the file at which the TIFF that holds them begins."""


class _Layout(NamedTuple):
    """Byte order and field widths of the TIFF that begins at `base`."""

    base: int
    big: bool
    first: int
    counted: int
    entry: int
    word: int


def measure(source: ByteReader, most: int) -> tuple[int, int, int]:
    """Return the size of the first page that is no thumbnail, and the number of such pages.

    Raise UnsupportedError for a camera raw file, BrokenError without a size.
    """
    found = pages(source, most)
    return found.width, found.height, len(found.places)


def pages(source: ByteReader, most: int) -> Pages:
    """Return the pages that are pictures of their own, among the first `most` + 1.

    Thumbnails and masks say that they are (NewSubfileType). Where all pages do, the TIFF may hold
    another one behind them, as a writer leaves it that ends before it links the appended page; else
    the largest page is the picture. Raise as `measure` does.
    """
    chain = _chain(source, 0, most)
    own = [place for place, page in enumerate(chain) if not _beside(page)]
    for begins in () if own else _appended(source):
        try:
            chain = _chain(source, begins, most)
            return _pages(chain, list(range(len(chain))), begins)
        except BrokenError:
            continue
    return _pages(chain, own or [max(range(len(chain)), key=lambda place: _area(chain[place]))], 0)


def _pages(chain: list[_Directory], own: list[int], begins: int) -> Pages:
    width, height = (chain[own[0]].get(tag, (0,))[0] for tag in (_WIDTH, _HEIGHT))
    if _WIDTH not in chain[own[0]] or _HEIGHT not in chain[own[0]]:
        raise BrokenError("the TIFF does not tell its size")
    return Pages(width, height, tuple(own), begins)


def _beside(page: _Directory) -> bool:
    """Return whether a page is a thumbnail or a mask of another."""
    if _SUBFILE in page:
        return bool(page[_SUBFILE][0] & _BESIDE)
    return page.get(_OLD_SUBFILE, (0,))[0] == _REDUCED


def _area(page: _Directory) -> int:
    return page.get(_WIDTH, (0,))[0] * page.get(_HEIGHT, (0,))[0]


def _appended(source: ByteReader) -> Iterator[int]:
    """Yield the first offsets at which another TIFF may begin."""
    held, found = source.at(0, source.size), 0
    for offset in range(_ALIGNED, source.size - _ALIGNED, _ALIGNED):
        if held[offset : offset + 4] in _SIGNATURES:
            yield offset
            found += 1
            if found == _APPENDED:
                return


def _chain(source: ByteReader, base: int, most: int) -> list[_Directory]:
    """Read the chain of directories; raise UnsupportedError if the file is a camera raw."""
    big = source.at(base, 1) == b"M"
    wide = source.number(base + 2, 2, big=big) == 43  # noqa: PLR2004 - BigTIFF
    layout = _Layout(base, big, *((8, 8, 20, 8) if wide else (4, 2, 12, 4)))
    place = source.number(base + layout.first, layout.word, big=big)
    found: list[_Directory] = []
    seen: set[int] = set()
    while place and place not in seen and len(found) <= most:
        seen.add(place)
        try:
            page, following = _directory(source, layout, place)
        except BrokenError:
            if not found:
                raise
            break  # a later page is cut off: the first one is what counts
        _refuse_raw(source, layout, page)
        found.append(page)
        place = following
    if not found:
        raise BrokenError("the TIFF does not tell its size")
    return found


def _directory(source: ByteReader, layout: _Layout, place: int) -> tuple[_Directory, int]:
    """Read the wanted fields of a directory, and the place of the next one."""
    _, big, _, counted, entry, word = layout
    count = source.number(layout.base + place, counted, big=big)
    begins = layout.base + place + counted
    page: _Directory = {}
    for at in range(begins, begins + min(count, _FIELDS) * entry, entry):
        field = source.at(at, entry)
        tag, kind = (_number(field[n : n + 2], big=big) for n in (0, 2))
        if tag in _WANTED and kind in _SIZES:
            with suppress(BrokenError):  # a value outside of the file: as if it were not there
                page[tag] = _values(source, layout, field, _SIZES[kind])
        if tag >= max(_WANTED):
            break  # tags are in ascending order
    return page, source.number(begins + count * entry, word, big=big)


def _values(source: ByteReader, layout: _Layout, field: bytes, size: int) -> tuple[int, ...]:
    """Return the first values of a field, which holds them or their offset."""
    big, word = layout.big, layout.word
    count = min(_VALUES, max(1, _number(field[4 : 4 + word], big=big)))
    held = field[4 + word :]
    if count * size > word:
        held = source.at(layout.base + _number(held, big=big), count * size)
    return tuple(_number(held[n : n + size], big=big) for n in range(0, count * size, size))


def _number(held: bytes, *, big: bool) -> int:
    return int.from_bytes(held, "big" if big else "little")


def _refuse_raw(source: ByteReader, layout: _Layout, page: _Directory) -> None:
    """Raise UnsupportedError if a page, or a page below it, holds the data of a sensor."""
    below = page.get(_SUB_DIRECTORIES, ())
    raw = _DNG_VERSION in page or source.at(0, 10)[8:] == b"CR"
    for place in (None, *below):
        if raw:
            break
        try:
            one = page if place is None else _directory(source, layout, place)[0]
        except BrokenError:
            continue
        raw = one.get(_PHOTOMETRIC, (0,))[0] in camera_raw.MOSAICS
    if raw:
        make = bytes(value & 0xFF for value in page.get(_MAKE, ())).decode("latin-1")
        named = "DNG" if _DNG_VERSION in page else camera_raw.of_maker(make)
        raise UnsupportedError(camera_raw.refusal(named))
