"""Frames of an animation, or pages of a scan: how many are compared, and their digest."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from core.types import Pixels

COMPARED = 64
"""Frames that are compared, from the first on."""
MOST_PIXELS = 50_000_000
"""Pixels of all frames that are decoded, the first included: half of what one picture may have by
default, so that a long animation takes no longer than a large picture. Measured: 64 frames of 480
by 270 in 0.1 s (GIF) and 0.2 s (WebP)."""
_SHOWN = 0.005
"""Share of a frame that differs from its ground where something shows in it."""
_DIFFERS = 16
"""Grey levels by which a pixel differs from the ground of its frame."""


def digest(preview: Pixels, width: int, height: int) -> bytes:
    """Return the SHA-256 of a preview's pixels and size, and of the size of its picture."""
    rows, columns = preview.shape[:2]
    made = hashlib.sha256(struct.pack(">4I", width, height, columns, rows))
    made.update(preview.tobytes())
    return made.digest()


def shows(preview: Pixels) -> bool:
    """Return whether a frame shows something besides its ground, the median colour."""
    ground = np.median(preview, axis=(0, 1)).astype(np.int16)
    return float((np.abs(preview - ground).max(axis=2) > _DIFFERS).mean()) >= _SHOWN
