"""Listing of the files that a command line names, and of skipped entries by kind.

Every entry below a folder is accounted for once: it is a file to be taken or it is skipped, a
hidden folder and one that cannot be listed as a whole.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cli import file_names
from cli.file_reading import SPECIAL, UnreadError, opened
from core.imaging import headers

_PICTURE = re.compile(
    r"\.(avif|bmp|dib|gif|hei[cf]s?|hif|jfif|jpe|jpe?g|mpo|p[bgnp]m|png|tiff?|webp)", re.IGNORECASE
)
"""Suffixes of formats that are read; the first bytes of a file decide its format."""
_FOREIGN = re.compile(
    r"\.(ai|blp|cdr|cgm|cin|clip|cur|dcm|dcx|dds|djvu?|dpx|dxf|emf|eps|exr|f4v|fits?|fpx|hdr|icns|ico|"
    r"j2[ck]|jng|jp[2cfmx]|jxl|jxr|jls|kra|mng|pam|pcd|pcx|pfm|pict?|pct|procreate|psb|psd|pspimage|"
    r"qoi|ras|sgi|svgz?|tga|vtf|wdp|wmf|x[bp]m|xcf|"
    r"3fr|ari|arw|bay|c[rs][23w]|cap|crw|dcr|dcs|dng|drf|eip|erf|fff|gpr|iiq|k25|kdc|mdc|mef|mos|"
    r"mrw|nef|nrw|orf|pef|ptx|pxn|r3d|raf|raw|rw[2lz]|sr[2fw]|srw|x3f)",
    re.IGNORECASE,
)
"""Suffixes of picture formats that are not read here; the last two lines are raw formats."""
_START = 1024
"""Bytes that tell a format: the brands of AVIF and HEIC stand in them."""
_DOTTED = "its name begins with a dot"

KINDS = {
    "hidden": "hidden",
    "not_a_picture": "not a picture",
    "unsupported": "unsupported format",
    "empty": "empty",
    "link": "link to a folder",
    "special": "not a regular file",
    "broken_link": "broken link",
    "unreadable": "unreadable",
    "vanished": "vanished meanwhile",
    "changed": "changed while it was read",
}
"""Reasons for skipping an entry, as a terminal shows them."""
UNREAD = frozenset({"broken_link", "unreadable", "vanished", "changed"})
"""Kinds that may hide a picture that was meant: a command that meets one exits with 1."""


class FoundFiles(NamedTuple):
    """A file and its name: its path as it was given, written as text."""

    path: Path
    name: str


class Skipped(NamedTuple):
    """An entry that is not taken."""

    name: str
    """Its path as text; a folder's ends with a slash."""
    kind: str
    """One of `KINDS`."""
    reason: str
    named: bool = False
    """Whether the command line names it, rather than a folder that holds it."""


class FileListing(NamedTuple):
    """Files and skipped entries, in the order of the walk."""

    files: list[FoundFiles]
    skipped: list[Skipped]


def listed(paths: Sequence[Path]) -> FileListing:
    """Walk files and folders in sorted order, each path once.

    A file that is named is taken whatever its suffix says and wherever it links to.
    """
    met: dict[str, FoundFiles | Skipped] = {}
    for entry in _entries(paths):
        met.setdefault(entry.name, entry)
    files = [one for one in met.values() if isinstance(one, FoundFiles)]
    return FileListing(files, [one for one in met.values() if isinstance(one, Skipped)])


def failing(skipped: Sequence[Skipped]) -> bool:
    """Return whether skipped entries make a command exit with 1."""
    return any(one.named or one.kind in UNREAD for one in skipped)


def unread(file: FoundFiles, error: UnreadError) -> Skipped:
    """Make the entry of a file that was listed and could not be read."""
    return Skipped(file.name, error.kind, error.detail)


def _entries(paths: Sequence[Path]) -> Iterator[FoundFiles | Skipped]:
    """Yield what is named and what lies below folders; one that is named is skipped by none."""
    roots = {path for path in paths if path.is_dir()}
    given = {file_names.path_name(path) for path in paths if path not in roots}
    for path in paths:
        if path not in roots:
            yield _named(path)
            continue
        for entry in _below(path):
            if isinstance(entry, FoundFiles) or entry.name not in given:
                yield entry


def _named(path: Path) -> FoundFiles | Skipped:
    """Look at what the command line names: a pipe is refused, a link is followed."""
    name = file_names.path_name(path)
    try:
        status = path.stat()
    except OSError as error:
        failed = UnreadError.of(error, missing="broken_link" if path.is_symlink() else "vanished")
        return Skipped(name, failed.kind, failed.detail, named=True)
    kind = _kind_of_status(status)
    return FoundFiles(path, name) if kind is None else Skipped(name, *kind, named=True)


def _below(root: Path) -> Iterator[FoundFiles | Skipped]:
    """Yield a folder's files in the order of their names, then those of its folders.

    Without recursion: a tree may be deeper than Python's stack.
    """
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            failed = UnreadError.of(error)
            name = f"{file_names.path_name(parent)}/"
            yield Skipped(name, failed.kind, failed.detail, named=parent is root)
            continue
        folders = []
        for entry in entries:
            path = Path(parent, entry.name)
            told = _look(path, entry)
            if told is None:
                folders.append(path)
            else:
                yield told
        waiting += reversed(folders)


def _look(path: Path, entry: os.DirEntry[str]) -> FoundFiles | Skipped | None:
    """Say what an entry is; None for a folder to be walked."""
    name = file_names.path_name(path)
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return Skipped(f"{name}/", "hidden", _DOTTED) if entry.name.startswith(".") else None
        kind = _skipping(path, status)
    except OSError as error:
        failed = UnreadError.of(error)
        kind = failed.kind, failed.detail
    return FoundFiles(path, name) if kind is None else Skipped(name, *kind)


def _skipping(path: Path, status: os.stat_result) -> tuple[str, str] | None:
    """Return kind and reason for skipping a file, None for one to take. Raise OSError."""
    if path.name.startswith("."):
        return "hidden", _DOTTED
    if stat.S_ISLNK(status.st_mode):
        try:
            status = path.stat()
        except OSError as error:
            failed = UnreadError.of(error, missing="broken_link")
            return failed.kind, failed.detail
        if stat.S_ISDIR(status.st_mode):
            return "link", "links to folders are not followed"
    return _kind_of_status(status) or _kind_of_content(path)


def _kind_of_status(status: os.stat_result) -> tuple[str, str] | None:
    if not stat.S_ISREG(status.st_mode):
        return "special", SPECIAL.get(stat.S_IFMT(status.st_mode), "not a regular file")
    return ("empty", "the file is empty") if status.st_size == 0 else None


def _kind_of_content(path: Path) -> tuple[str, str] | None:
    """Go by the suffix, and by the first bytes where there is none."""
    suffix = path.suffix
    if _PICTURE.fullmatch(suffix):
        return None
    if _FOREIGN.fullmatch(suffix):
        return "unsupported", f"{suffix} is not read here"
    if suffix:
        return "not_a_picture", f"{suffix} is no suffix of a picture"
    return _kind_of_bytes(path)


def _kind_of_bytes(path: Path) -> tuple[str, str] | None:
    try:
        with opened(path) as (file, _):
            start = file.read(_START)
    except UnreadError as error:
        return error.kind, error.detail
    if headers.recognises(start):
        return None
    known = headers.foreign(start)
    if known is not None:
        return "unsupported", f"{known} files are not read here"
    return "not_a_picture", "its first bytes are no picture's"
