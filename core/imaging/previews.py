"""Scaled previews for prompts, with a cache of the latest."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from core.errors import CorruptError
from core.lru_cache import LRUCache
from core.types import Remade

_QUALITY = 85
"""JPEG quality of a scaled preview, with chroma subsampled: it is sent once, byte by byte."""
_HELD = 64 * 1024 * 1024
"""Bytes in the cache: over 1,000 previews of 512 pixels."""


class Preview(NamedTuple):
    """JPEG bytes with the size in pixels."""

    data: bytes
    width: int
    height: int


class Previews:
    """Previews scaled to a long side. The caller has checked that the picture may be shown."""

    def __init__(
        self, stored: Callable[[str, str, Remade | None], bytes], held: int = _HELD
    ) -> None:
        """Take `stored`, which reads a picture's stored JPEG."""
        self._stored = stored
        self._held: LRUCache[tuple[str, str, int, Remade | None], Preview] = LRUCache(
            held, sizeof=lambda preview: len(preview.data)
        )

    def get(self, tenant: str, image_id: str, side: int, remade: Remade | None = None) -> Preview:
        """Return a preview of at most `side` pixels, never enlarged.

        Raise MissingError or CorruptError.
        """
        key = tenant, image_id, side, remade
        return self._held.get(key) or self._held.put(
            key, smaller(self._stored(tenant, image_id, remade), side)
        )

    def forget(self, tenant: str, image_id: str) -> None:
        """Drop the previews of a picture that may no longer be shown."""
        self._held.remove(lambda key: key[:2] == (tenant, image_id))


def smaller(data: bytes, side: int) -> Preview:
    """Scale a JPEG to a long side of at most `side` pixels; return a smaller one unchanged.

    Raise CorruptError if it is no JPEG.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            width, height = image.size
            if max(width, height) <= side:
                return Preview(data, width, height)
            shrunk = side / max(width, height)
            size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
            made = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError) as fault:
        raise CorruptError(f"a stored preview cannot be read ({fault})") from fault
    held = io.BytesIO()
    made.save(held, "JPEG", quality=_QUALITY)
    return Preview(held.getvalue(), *size)
