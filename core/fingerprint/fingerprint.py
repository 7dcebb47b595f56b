"""All that is kept of a picture, from one decode; and how previews are kept and shown."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from core.errors import CorruptError
from core.fingerprint import phash, visual_words
from core.fingerprint.pdq import pdq
from core.imaging.decoding import PIXELS_VERSION, decode
from core.types import Canonical, Fingerprint, Limits, Pixels

_QUALITY = 92
"""Of stored previews, without chroma subsampling: under 1 grey level from the pixels on average."""
_THUMB = 160
"""Long side of a thumbnail in pixels."""
_THUMB_QUALITY = 80


def fingerprint(
    data: bytes, limits: Limits, sha256: str = "", md5: str = ""
) -> tuple[Canonical, Fingerprint]:
    """Decode once, then hash and describe the preview; digests of the bytes where not given.

    Raise TooLargeError, UnsupportedError, BrokenError or DecoderKilledError.
    """
    canonical = decode(data, limits)
    bits, quality = pdq(canonical.preview)
    plain = phash.frequencies(canonical.preview)
    return canonical, Fingerprint(
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        md5=md5 or hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes=len(data),
        format=canonical.format,
        frames=canonical.frames,
        width=canonical.width,
        height=canonical.height,
        pixels_version=PIXELS_VERSION,
        pixels_sha256=phash.pixels_sha256(canonical),
        turns=phash.turned(plain),
        pdq=bits,
        pdq_quality=quality,
        comparable=phash.holds(plain, canonical.preview),
        features=visual_words.extract(canonical.preview),
        hides=canonical.hides,
    )


def encode_preview(preview: Pixels) -> bytes:
    """The preview as it is stored: a JPEG in about 1 ms."""
    return _jpeg(Image.fromarray(preview), _QUALITY)


def decode_preview(data: bytes) -> Pixels:
    """Pixels of a stored preview, (height, width, 3). Raise CorruptError where it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.array(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as fault:
        raise CorruptError(f"a stored preview cannot be read ({fault})") from fault


def thumb(preview: Pixels) -> bytes:
    """A JPEG of at most 160 pixels on its long side."""
    image = Image.fromarray(preview)
    image.thumbnail((_THUMB, _THUMB), Image.Resampling.BICUBIC, reducing_gap=None)
    return _jpeg(image, _THUMB_QUALITY)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality, subsampling=0)
    return held.getvalue()
