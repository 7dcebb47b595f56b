"""Folders with good pictures among every other kind of entry of a file system."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

JPEG_START = b"\xff\xd8\xff\xe0"
OUTSIDE = "outside.jpg"
"""Name of a picture beside the folder, for links that lead out of it."""


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as held:  # its address takes 108 bytes: by a short way
            held.bind(f"/proc/self/fd/{here}/{os.fsdecode(path.name)}")
    finally:
        os.close(here)


def _written(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _folder_of_one(path: Path) -> None:
    path.mkdir()
    (path / "inner.jpg").write_bytes(JPEG_START)


ODD: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "hidden file": ("hidden", b".%b.jpg", _written(JPEG_START)),
    "hidden folder": ("hidden", b".%b", _folder_of_one),
    "mac folder settings": ("hidden", b".DS_Store%b", _written(b"\0\0\0\1Bud1")),
    "text": ("not_a_picture", b"%b.txt", _written(b"a note")),
    "video": ("not_a_picture", b"%b.MP4", _written(b"\0\0\0\x20ftypisom")),
    "thumbnails": ("not_a_picture", b"Thumbs%b.db", _written(b"\xd0\xcf\x11\xe0")),
    "text without a suffix": ("not_a_picture", b"%b", _written(b"a note")),
    "photoshop": ("unsupported", b"%b.psd", _written(b"8BPS")),
    "drawing": ("unsupported", b"%b.svg", _written(b"<svg/>")),
    "jpeg xl": ("unsupported", b"%b.jxl", _written(b"\xff\x0a")),
    "raw, a TIFF by its first bytes": ("unsupported", b"%b.NEF", _written(b"II*\0")),
    "jpeg xl without a suffix": ("unsupported", b"%b", _written(b"\xff\x0a\0")),
    "empty": ("empty", b"%b.jpg", _written(b"")),
    "pipe": ("special", b"%b.jpg", os.mkfifo),
    "socket": ("special", b"%b.png", _socket),
    "link to nothing": ("broken_link", b"%b.jpg", lambda path: path.symlink_to("not there.jpg")),
    "link to itself": ("broken_link", b"%b.jpg", lambda path: path.symlink_to(path.name)),
    "link to a folder": ("link", b"%b", lambda path: path.symlink_to("..")),
    "link to a device": ("special", b"%b.jpg", lambda path: path.symlink_to("/dev/zero")),
}
"""Odd entries by description: the kind of skip, a name around another one, and how to make it."""


def make(folder: Path, what: str, name: bytes) -> Path:
    """Put an odd entry into a folder and return its path."""
    _, around, put = ODD[what]
    path = Path(folder, os.fsdecode(around % name))
    put(path)
    return path


def told(what: str, path: Path) -> tuple[str, Path]:
    """Return the kind that must be reported for an entry, and the path."""
    return ODD[what][0], path


def clear(folder: Path) -> None:
    """Empty the folder, or create it, beside a picture outside of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.with_name(OUTSIDE).write_bytes(JPEG_START)
