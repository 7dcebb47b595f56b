"""One decode that gives preview and hashes, against a plain decode and resize."""

from __future__ import annotations

import io

from PIL import Image
from rich.progress import Progress

from core import hashing
from core.decoding import decode
from core.pdq import pdq
from core.types import Limits
from tests.bench import photos
from tests.bench.rows import Row, ratio

COUNT = 12
SIDE = 512


def rows(progress: Progress) -> list[Row]:
    """Decode + 512 preview + hashes of a 2-megapixel JPEG."""
    made = photos.files(progress, COUNT)
    limits = Limits()

    def ours() -> None:
        for data in made:
            canonical = decode(data, limits)
            plain = hashing.frequencies(canonical.preview)
            hashing.turned(plain)
            pdq(canonical.preview)

    def theirs() -> None:
        for data in made:
            with Image.open(io.BytesIO(data)) as image:
                image.convert("RGB").resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC)

    ours()
    quick, plain = ratio(ours, theirs, 9)
    return [
        Row(
            work="decode, preview and hashes against a plain decode and resize",
            unit="x",
            value=plain / quick,
            target=1.5,
            details={
                "ours, ms a picture": quick / COUNT * 1e3,
                "plain, ms a picture": plain / COUNT * 1e3,
            },
        )
    ]
