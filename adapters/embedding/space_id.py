"""Name of an embedding space: a digest over everything that shapes its vectors."""

from __future__ import annotations

from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

import msgspec

_PIXELS = 1
"""Constant of every digest, once the version of the pixels. It stays, so that stored spaces keep
their ids: a picture that later versions decode otherwise gets a new vector in the same space."""


def space_id(kind: Literal["visual", "caption"], **shaped_by: object) -> str:
    """Return `kind` and 8 hex digits of the sha256 over all arguments.

    Leave out settings that only make a model faster (device, dtype, batch): vectors of both are
    compared with each other.
    """
    material = msgspec.json.encode([kind, _PIXELS, shaped_by], order="sorted")
    return f"{kind}-{sha256(material).hexdigest()[:8]}"


def digest(path: Path) -> str:
    """Return the sha256 of a file's contents, in hex: 600 MB take about half a second."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
