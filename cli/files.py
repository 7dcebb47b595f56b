"""Which files a command line means: those it names, and the pictures below folders it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_PICTURE = re.compile(
    r"\.(avif|bmp|dib|gif|hei[cf]s?|hif|jfif|jpe|jpe?g|mpo|p[bgnp]m|png|tiff?|webp)", re.IGNORECASE
)
"""What is read here, by the suffixes it goes by; what a file is its first bytes decide."""


class Found(NamedTuple):
    """A file, and the name it is known by: its path as it was given."""

    path: Path
    name: str


def found(paths: Sequence[Path]) -> Iterator[Found]:
    """Walk in sorted order; hidden entries and links to folders are left out.

    A file that is named is taken whatever its suffix says.
    """
    for path in paths:
        if path.is_dir():
            yield from (Found(file, file.as_posix()) for file in _below(path))
        else:
            yield Found(path, path.as_posix())


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and _PICTURE.fullmatch(Path(name).suffix):
                yield Path(parent, name)
