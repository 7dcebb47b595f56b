"""Bytes set aside on a disk, so that deletes can be written when it is full."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

RESERVE = 16 * 1024 * 1024
"""Bytes of the file: SQLite's log of pages grows to 8 MB, a delete writes some 20 kB beside it."""
ENOUGH = 512 * 1024 * 1024
"""Free bytes from which the file is made: twice those below which uploads are refused."""

logger = logging.getLogger(__name__)


class DiskReserve:
    """A file that takes up space until the space is needed."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is written before `fill`."""
        self._path = path

    def fill(self, free: int) -> None:
        """Make the file unless there is one, or too few bytes are free."""
        if free < ENOUGH or self._path.exists():
            return
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with partial.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, RESERVE)
                else:
                    file.write(bytes(RESERVE))
            partial.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            logger.warning("disk_reserve_not_made", extra={"reason": str(error.strerror)})

    def release(self) -> bool:
        """Give the bytes back to the disk; return whether there were any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        logger.error("disk_full", extra={"bytes": RESERVE})
        return True
