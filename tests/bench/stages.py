"""What a picture costs beyond decoding and the forward pass, stage by stage."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import numpy as np
from PIL import Image
from rich.progress import Progress

from adapters.wiring import Services
from core import features, hashing
from core.decoding import decode
from core.fingerprint import encode_preview, fingerprint
from core.pdq import pdq
from core.types import Limits, Query
from tests.bench import photos
from tests.bench.rows import Row
from tests.bench.running import TENANT, fill, services

STORED = 1_600
ASKED = 48

T = TypeVar("T")


def rows(progress: Progress) -> list[Row]:
    """Hashes, features and look-ups among 1,600 pictures, for photos without a near copy."""
    limits = Limits()
    asked = photos.files(progress, ASKED, first=100_000)
    with photos.folder() as folder, services(folder, "none", durable=False) as built:
        fill(progress, built, folder, photos.small(progress, STORED))
        counted = _counted(built)
        taken: dict[str, list[float]] = {}

        def timed(stage: str, act: Callable[[], T]) -> T:
            began = time.thread_time()
            answer = act()
            taken.setdefault(stage, []).append((time.thread_time() - began) * 1e3)
            return answer

        for n, data in enumerate(progress.track(asked, description="measuring stages")):
            canonical = timed("decode", lambda data=data: decode(data, limits))
            preview = canonical.preview
            timed("phash, 8 turns", lambda p=preview: hashing.turned(hashing.frequencies(p)))
            timed("pdq", lambda p=preview: pdq(p))
            timed("pixels sha256", lambda c=canonical: hashing.pixels_sha256(c))
            timed("features", lambda p=preview: features.extract(p))
            timed("preview as JPEG", lambda p=preview: encode_preview(p))
            print_ = fingerprint(data, limits)[1]
            query = Query(image_id=f"asked-{n}", fingerprint=print_)
            pair = [(query, encode_preview(preview))]
            with built.ledger._sight.holding(TENANT, pair, stored=False):  # type: ignore[attr-defined]
                timed("look-ups and decision", lambda q=query: built.ledger.check(TENANT, q))
    plain = median(_plain(data) for data in asked)
    beyond = [
        sum(times) for times in zip(*(t for s, t in taken.items() if s != "decode"), strict=True)
    ]
    return [
        Row(
            work="CPU a picture beyond decode and forward, no near copy, median",
            unit="ms",
            value=median(beyond),
            target=20,
            better="less",
            details={
                **{f"{stage}, ms": median(times) for stage, times in taken.items()},
                "plain decode and resize beside them, ms": plain,
                "hits of all sources a picture": counted["hits"] / ASKED,
                "alignments a picture": counted["compared"] / ASKED,
            },
        )
    ]


def _counted(built: Services) -> dict[str, int]:
    """Counts of what the look-ups find and what is laid over each other, from now on."""
    counts = {"hits": 0, "compared": 0}
    sight, index = built.ledger._sight, built.index
    compare, hits = sight.compare, index.hits

    def comparing(*given: object) -> object:
        counts["compared"] += 1
        return compare(*given)  # type: ignore[arg-type] # passed on as they come

    def hitting(*given: object, **named: object) -> object:
        found = hits(*given, **named)  # type: ignore[arg-type] # likewise
        counts["hits"] += sum(map(len, found))
        return found

    sight.compare = comparing  # type: ignore[method-assign,assignment] # to count
    index.hits = hitting  # type: ignore[method-assign,assignment] # to count
    return counts


def _plain(data: bytes) -> float:
    began = time.thread_time()
    with Image.open(io.BytesIO(data)) as image:
        np.asarray(image.convert("RGB").resize((512, 384), Image.Resampling.BICUBIC))
    return (time.thread_time() - began) * 1e3
