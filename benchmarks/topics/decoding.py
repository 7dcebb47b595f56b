"""Speed of the decode that gives preview and hashes, against a plain decode and resize."""

from __future__ import annotations

import io

from PIL import Image

from benchmarks.data.photos import Kind
from benchmarks.report import Row, Run, ratio
from core.fingerprint import phash
from core.fingerprint.pdq import pdq
from core.imaging.decoding import decode
from core.types import Limits

COUNT, COUNT_QUICK = 12, 2
TIMES, TIMES_QUICK = 9, 2
SIDE = 512


def rows(run: Run) -> list[Row]:
    """Measure decode, preview and hashes of made 2-megapixel JPEGs, and of real photos."""
    count, times = (COUNT_QUICK, TIMES_QUICK) if run.quick else (COUNT, TIMES)
    return [_row(source.uploads(run.progress, count), source.kind, times) for source in run.sources]


def _row(files: list[bytes], kind: Kind, times: int) -> Row:
    limits = Limits()

    def ours() -> None:
        for data in files:
            canonical = decode(data, limits)
            phash.turns(canonical.preview)
            pdq(canonical.preview)

    def theirs() -> None:
        for data in files:
            with Image.open(io.BytesIO(data)) as image:
                image.convert("RGB").resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC)

    ours()
    quick, plain = ratio(ours, theirs, times)
    return Row(
        work="decode, preview and hashes against a plain decode and resize",
        photos=kind,
        unit="x",
        value=plain / quick,
        target=1.5 if kind == "made" else None,  # the target holds for two megapixels
        details={
            "ours, ms a picture": quick / len(files) * 1e3,
            "plain, ms a picture": plain / len(files) * 1e3,
        },
    )
