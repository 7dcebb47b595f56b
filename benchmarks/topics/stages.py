"""Cost of a picture beyond decoding and the forward pass, stage by stage."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean, median
from typing import TypeVar

import numpy as np
from PIL import Image

from adapters.wiring import Services
from benchmarks.data import photos
from benchmarks.data.photos import PhotoSource
from benchmarks.report import Row, Run
from benchmarks.service import TENANT, fill, services
from core.evidence import Comparison
from core.fingerprint import phash, visual_words
from core.fingerprint.fingerprint import encode_preview, fingerprint
from core.fingerprint.pdq import pdq
from core.imaging.decoding import decode
from core.types import Hit, Limits, Query

STORED, STORED_QUICK = 1_600, 24
UPLOADS, UPLOADS_QUICK = 48, 6

T = TypeVar("T")


def rows(run: Run) -> list[Row]:
    """Measure hashes, features and searches among 1,600 pictures, for photos without a copy."""
    return [_row(run, source) for source in run.sources]


def _row(run: Run, source: PhotoSource) -> Row:
    limits = Limits()
    files = source.uploads(run.progress, UPLOADS_QUICK if run.quick else UPLOADS)
    stored = source.stored(run.progress, STORED_QUICK if run.quick else STORED)
    with photos.folder() as folder, services(folder, "none", durable=False) as built:
        fill(run.progress, built, folder, stored)
        counts = counted(built)
        taken: dict[str, list[float]] = {}

        def timed(stage: str, act: Callable[[], T]) -> T:
            began = time.thread_time()
            answer = act()
            taken.setdefault(stage, []).append((time.thread_time() - began) * 1e3)
            return answer

        for n, data in enumerate(run.progress.track(files, description="measuring stages")):
            canonical = timed("decode", partial(decode, data, limits))
            preview = canonical.preview
            timed("phash, 8 turns", partial(phash.turns, preview))
            timed("pdq", partial(pdq, preview))
            timed("pixels sha256", partial(phash.pixels_sha256, canonical))
            timed("features", partial(visual_words.extract, preview))
            timed("preview as JPEG", partial(encode_preview, preview))
            query = Query(image_id=f"query-{n}", fingerprint=fingerprint(data, limits)[1])
            pair = [(query, encode_preview(preview))]
            with built.ledger._sight.holding(TENANT, pair, stored=False):  # type: ignore[attr-defined]
                timed("look-ups and decision", partial(built.ledger.check, TENANT, query))
    plain = median(_plain(data) for data in files)
    beyond = [
        sum(times) for times in zip(*(t for s, t in taken.items() if s != "decode"), strict=True)
    ]
    return Row(
        work="CPU a picture beyond decode and forward, no near copy, median",
        photos=source.kind,
        unit="ms",
        value=median(beyond),
        target=20,
        better="less",
        details={
            **{f"{stage}, ms": median(times) for stage, times in taken.items()},
            "mean of all together, ms": fmean(beyond),
            "plain decode and resize beside them, ms": plain,
            "stored": len(stored),
            "hits of all sources a picture": counts["hits"] / len(files),
            "alignments a picture": counts["compared"] / len(files),
        },
    )


def counted(built: Services) -> dict[str, int]:
    """Return counts of hits and alignments, updated from now on."""
    counts = {"hits": 0, "compared": 0}
    sight, index = built.ledger._sight, built.index
    align, hits = sight.align, index.find_candidates

    def aligning(tenant: str, query: Query, given: Sequence[Hit]) -> list[Comparison]:
        counts["compared"] += len(given)
        return align(tenant, query, given)

    def hitting(*given: object, **named: object) -> object:
        found = hits(*given, **named)  # type: ignore[arg-type] # likewise
        counts["hits"] += sum(map(len, found))
        return found

    sight.align = aligning  # type: ignore[method-assign,assignment] # to count
    index.find_candidates = hitting  # type: ignore[method-assign,assignment] # to count
    return counts


def _plain(data: bytes) -> float:
    began = time.thread_time()
    with Image.open(io.BytesIO(data)) as image:
        np.asarray(image.convert("RGB").resize((512, 384), Image.Resampling.BICUBIC))
    return (time.thread_time() - began) * 1e3
