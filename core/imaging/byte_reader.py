"""Reads bytes of a file at an offset, for header parsing without a decoder."""

from __future__ import annotations

import re
from typing import BinaryIO

from core.errors import BrokenError

_READS, _BYTES_A_READ = 15_000, 50
"""Reads before a header is given up: so many, and one for so many bytes of the file. A GIF has one
block in 255 bytes, and a thousand frames of a few bytes each need 12,000 reads."""
_BLOCK = 16_384
"""Bytes taken from the stream at a time."""


class ByteReader:
    """Reader of bytes at an offset of any seekable stream, with a bounded number of reads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        self._left = _READS + self.size // _BYTES_A_READ
        self._block = b""
        self._from = 0

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`. Raise BrokenError if the file ends before."""
        self._left -= 1
        if self._left < 0:
            raise BrokenError("the file's header has too many parts")
        begin = offset - self._from
        if begin < 0 or begin + count > len(self._block):
            self._take(offset, count)
            begin = 0
        return self._block[begin : begin + count]

    def number(self, offset: int, count: int, *, big: bool = True) -> int:
        """Return the unsigned integer in `count` bytes at `offset`."""
        return int.from_bytes(self.at(offset, count), "big" if big else "little")

    def search(self, pattern: re.Pattern[bytes], offset: int, count: int) -> int:
        """Return the next offset of a pattern that matches `count` bytes.

        Raise BrokenError if the file ends before.
        """
        while True:
            self.at(offset, count)
            if found := pattern.search(self._block, offset - self._from):
                return self._from + found.start()
            offset = max(offset + 1, self._from + len(self._block) - count + 1)

    def start(self, count: int) -> bytes:
        """Return up to `count` bytes from the beginning."""
        self._stream.seek(0)
        return self._stream.read(count)

    def _take(self, offset: int, count: int) -> None:
        if offset + count > self.size:
            raise BrokenError("the file ends in the middle of its header")
        self._stream.seek(offset)
        self._from, self._block = offset, self._stream.read(max(count, _BLOCK))
        if len(self._block) < count:
            raise BrokenError("the file ends in the middle of its header")
