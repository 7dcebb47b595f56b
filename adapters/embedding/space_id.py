"""Name of an embedding space: a digest over everything that shapes its vectors."""

from __future__ import annotations

from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

import msgspec

from core.imaging.decoding import PIXELS_VERSION


def space_id(kind: Literal["visual", "caption"], **shaped_by: object) -> str:
    """Return `kind` and 8 hex digits of the sha256 over all arguments and the pixels' version.

    Leave out settings that only make a model faster (device, dtype, batch): vectors of both are
    compared with each other.
    """
    material = msgspec.json.encode([kind, PIXELS_VERSION, shaped_by], order="sorted")
    return f"{kind}-{sha256(material).hexdigest()[:8]}"


def digest(path: Path) -> str:
    """Return the sha256 of a file's contents, in hex: 600 MB take about half a second."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
