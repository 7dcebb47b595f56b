"""Reads bytes of a file at an offset, for header parsing without a decoder."""

from __future__ import annotations

from typing import BinaryIO

from core.errors import BrokenError

_READS = 300_000
"""Reads before a header is given up: under half a second. A GIF of 32 MB needs 130,000."""


class ByteReader:
    """Reader of bytes at an offset of any seekable stream, with a bounded number of reads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _READS
        self.size = stream.seek(0, 2)

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`. Raise BrokenError if the file ends before."""
        self._left -= 1
        if self._left < 0:
            raise BrokenError("the file's header has too many parts")
        if offset + count > self.size:
            raise BrokenError("the file ends in the middle of its header")
        self._stream.seek(offset)
        held = self._stream.read(count)
        if len(held) < count:
            raise BrokenError("the file ends in the middle of its header")
        return held

    def number(self, offset: int, count: int, *, big: bool = True) -> int:
        """Return the unsigned integer in `count` bytes at `offset`."""
        return int.from_bytes(self.at(offset, count), "big" if big else "little")

    def start(self, count: int) -> bytes:
        """Return up to `count` bytes from the beginning."""
        self._stream.seek(0)
        return self._stream.read(count)
