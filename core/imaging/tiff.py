"""Size and pages of a TIFF or BigTIFF, from its directories."""

from __future__ import annotations

from core.errors import BrokenError
from core.imaging.byte_reader import ByteReader


def measure(source: ByteReader, most: int) -> tuple[int, int, int]:
    """Return the size of the first page, and the pages counted along the chain of directories."""
    big = source.at(0, 1) == b"M"
    wide = source.number(2, 2, big=big) == 43  # noqa: PLR2004 - BigTIFF
    first, counted, entry, word = (8, 8, 20, 8) if wide else (4, 2, 12, 4)
    page = source.number(first, word, big=big)
    size: dict[int, int] = {}
    seen: set[int] = set()
    while page and page not in seen and len(seen) <= most:
        try:
            count = source.number(page, counted, big=big)
            if not seen:
                size = _entries(source, page + counted, count, entry, big=big)
            seen.add(page)
            page = source.number(page + counted + count * entry, word, big=big)
        except BrokenError:
            if not seen:
                raise
            break  # a later page is cut off: the first one is what counts
    if 256 not in size or 257 not in size:  # noqa: PLR2004 - ImageWidth, ImageLength
        raise BrokenError("the TIFF does not tell its size")
    return size[256], size[257], len(seen)


def _entries(
    source: ByteReader, offset: int, count: int, entry: int, *, big: bool
) -> dict[int, int]:
    """Read ImageWidth and ImageLength (tags 256 and 257) of a directory."""
    value = 12 if entry == 20 else 8  # noqa: PLR2004 - BigTIFF's entries
    sizes = {1: 1, 3: 2, 4: 4, 16: 8}
    found: dict[int, int] = {}
    for at in range(offset, offset + count * entry, entry):
        tag, kind = source.number(at, 2, big=big), source.number(at + 2, 2, big=big)
        if tag in (256, 257) and kind in sizes:
            found[tag] = source.number(at + value, sizes[kind], big=big)
        if tag > 257:  # noqa: PLR2004 - tags are in ascending order
            break
    return found
