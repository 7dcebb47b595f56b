"""Fingerprint of a picture from one decode, and the encoding of previews and thumbnails."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from core.errors import CorruptError
from core.fingerprint import phash, visual_words
from core.fingerprint.pdq import pdq
from core.imaging.decoding import decode
from core.types import Canonical, Fingerprint, Limits, Pixels

_QUALITY = 92
"""JPEG quality of stored previews, without chroma subsampling: under 1 grey level of error on
average."""
_THUMB = 160
"""Long side of a thumbnail in pixels."""
_THUMB_QUALITY = 80


def fingerprint(
    data: bytes, limits: Limits, sha256: str = "", md5: str = ""
) -> tuple[Canonical, Fingerprint]:
    """Decode once, then hash and describe the preview; compute digests that are not given.

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
        pixels_version=canonical.pixels_version,
        pixels_sha256=phash.pixels_sha256(canonical),
        turns=phash.turned(plain),
        pdq=bits,
        pdq_quality=quality,
        comparable=phash.holds(plain, canonical.preview),
        features=visual_words.extract(canonical.preview),
        hides=canonical.hides,
        features_version=visual_words.FEATURES_VERSION,
        frames_compared=canonical.frames_compared,
        frames_sha256=canonical.frames_sha256,
        hdr=canonical.hdr,
        large=bool(canonical.large),
    )


def encode_preview(preview: Pixels) -> bytes:
    """Encode a preview for storage, as a JPEG, in about 1 ms."""
    return _jpeg(Image.fromarray(preview), _QUALITY)


def decode_preview(data: bytes) -> Pixels:
    """Decode a stored preview to (height, width, 3) pixels. Raise CorruptError if it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.array(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as fault:
        raise CorruptError(f"a stored preview cannot be read ({fault})") from fault


def thumb(preview: Pixels) -> bytes:
    """Encode a JPEG of at most 160 pixels on its long side."""
    image = Image.fromarray(preview)
    image.thumbnail((_THUMB, _THUMB), Image.Resampling.BICUBIC, reducing_gap=None)
    return _jpeg(image, _THUMB_QUALITY)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality, subsampling=0)
    return held.getvalue()
