from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from core.errors import BrokenError, CorruptError
from core.fingerprint import phash, visual_words
from core.fingerprint.fingerprint import decode_preview, encode_preview, fingerprint, thumb
from core.fingerprint.pdq import pdq
from core.imaging.decoding import PIXELS_VERSION, decode
from core.types import Fingerprint, Limits
from tests.samples.image_files import encoded
from tests.samples.pictures import flat, jpeg, photo

LIMITS = Limits()


def test_all_comes_from_one_decode() -> None:
    """Every part is what its own module makes of the preview."""
    data = jpeg(photo(2, 900, 700))
    canonical, found = fingerprint(data, LIMITS)
    preview = canonical.preview
    assert np.array_equal(preview, decode(data, LIMITS).preview)
    bits, quality = pdq(preview)
    assert found == Fingerprint(
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),
        bytes=len(data),
        format="JPEG",
        frames=1,
        width=900,
        height=700,
        pixels_version=PIXELS_VERSION,
        pixels_sha256=phash.pixels_sha256(canonical),
        turns=phash.turns(preview),
        pdq=bits,
        pdq_quality=quality,
        comparable=True,
        features=visual_words.extract(preview),
        features_version=visual_words.FEATURES_VERSION,
    )


def test_digests_that_are_known_are_kept() -> None:
    """A caller that has hashed the bytes need not do so again."""
    _, found = fingerprint(jpeg(photo(2, 90, 70)), LIMITS, sha256="a" * 64, md5="b" * 32)
    assert (found.sha256, found.md5) == ("a" * 64, "b" * 32)


def test_flat_pictures_are_not_comparable() -> None:
    """They have no features, yet are fingerprinted as all others."""
    _, found = fingerprint(jpeg(flat()), LIMITS)
    assert (found.comparable, found.features.points, found.pdq_quality) == (False, b"", 0)


def test_another_container_has_the_same_pixels() -> None:
    """PNG, BMP and lossless WebP of one picture: other bytes, one `pixels_sha256`."""
    image = photo(4, 700, 500)
    found = [
        fingerprint(encoded(image, name, lossless=True), LIMITS)[1]
        for name in ("PNG", "BMP", "WEBP")
    ]
    assert len({one.sha256 for one in found}) == 3
    assert len({one.pixels_sha256 for one in found}) == 1
    assert len({one.turns for one in found}) == 1


def test_faults_are_the_decoders() -> None:
    """Nothing is caught on the way."""
    with pytest.raises(BrokenError):
        fingerprint(jpeg(photo(1, 90, 70))[:900], LIMITS)


def test_previews_survive_storing() -> None:
    """A grey level or two a pixel, and hashes within 2 bits."""
    preview = np.asarray(photo(5, 512, 384))
    kept = decode_preview(encode_preview(preview))
    assert kept.shape == preview.shape
    assert np.abs(kept.astype(int) - preview).mean() < 2
    assert phash.hamming(phash.turns(kept)[0], phash.turns(preview)[0]) <= 2


def test_what_is_no_preview_is_told() -> None:
    """A damaged store is ours to know of."""
    for data in (b"", b"rubbish", encode_preview(np.asarray(photo(1, 90, 70)))[:500]):
        with pytest.raises(CorruptError, match="preview cannot be read"):
            decode_preview(data)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((512, 384), (160, 120)), ((90, 120), (90, 120)), ((512, 1), (160, 1))],
)
def test_thumbnails_have_160_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """On their long side, and are never enlarged."""
    image = Image.open(io.BytesIO(thumb(np.asarray(photo(6, 512, 512).resize(size)))))
    assert (image.format, image.size) == ("JPEG", expected)
