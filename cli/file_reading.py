"""Reading of named and listed files: never waits for one, never reads past a limit."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cli.file_names import path_name
from cli.rendering.printable import printable
from core.errors import InputError, TooLargeError

MOST = 1 << 30
"""Bytes of a file that are read at all where the service's own limit is not known."""

SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
"""Names of file types that are no regular files."""
_KINDS = {
    errno.ENOENT: "vanished",
    errno.ENOTDIR: "vanished",
    errno.ELOOP: "broken_link",
    errno.ENXIO: "special",  # a socket, or a pipe without a writer
}


class UnreadError(InputError):
    """A file that cannot be read; `kind` says why in one of the words of `cli.files`."""

    type = "unread"
    title = "File cannot be read"

    def __init__(self, detail: str, kind: str = "unreadable", *, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.kind = kind

    @classmethod
    def of(cls, error: OSError, *, missing: str = "vanished") -> UnreadError:
        """Name the kind of an error of the operating system; a name that is not there `missing`."""
        kind = _KINDS.get(error.errno or 0, "unreadable")
        return cls(reason(error), missing if kind == "vanished" else kind)


def reason(error: OSError) -> str:
    """Return the operating system's own words, in lower case."""
    return (error.strerror or str(error)).lower()


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file; yields it with its size. Raise UnreadError.

    A named pipe would keep an ordinary open waiting for its writer, and a name may have become one
    since it was listed: so it is opened without waiting and looked at afterwards.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        number = os.open(path, flags)
    except OSError as error:
        raise UnreadError.of(error) from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        what = SPECIAL.get(stat.S_IFMT(status.st_mode), "not a regular file")
        raise UnreadError(what, "special")
    with os.fdopen(number, "rb") as file:
        try:
            yield file, status.st_size
        except OSError as error:
            raise UnreadError.of(error) from None


def read(path: Path, most: int = MOST) -> bytes:
    """Return a file's bytes. Raise UnreadError, TooLargeError past `most`.

    A file that grows or shrinks meanwhile is not read at all: half of it would be another picture.
    """
    with opened(path) as (file, size):
        if size > most:
            raise TooLargeError(f"the file has {size:,} bytes; the limit is {most:,}")
        data = file.read(size + 1)
    if len(data) != size:
        raise UnreadError(f"it had {size:,} bytes and changed while it was read", "changed")
    return data


def read_text(path: Path) -> str:
    """Return a text file. Raise InputError, which names it."""
    try:
        return read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{printed(path)}: byte {error.start} is not UTF-8") from None
    except InputError as error:
        raise InputError(f"{printed(path)}: {error.detail}") from None


def printed(path: Path) -> str:
    """Return a path as it is printed."""
    return printable(path_name(path))
