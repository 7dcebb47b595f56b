"""Made photos of two megapixels, as the files that people upload."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from core.accept import Upload
from core.edits import jpeg
from core.scenes import photo

WIDTH, HEIGHT = 1600, 1200
PREVIEW = (512, 384)
SMALL = (320, 240)
"""Of what is only stored: drawing 1,600 larger ones would take longer than measuring."""


def files(progress: Progress, count: int, *, first: int = 0) -> list[bytes]:
    """JPEGs of `count` different photos of 1600 x 1200."""
    seeds = range(first, first + count)
    told = progress.track(seeds, description=f"drawing {count} photos")
    return [jpeg(photo(seed, WIDTH, HEIGHT)) for seed in told]


_drawn: list[bytes] = []


def small(progress: Progress, count: int) -> list[bytes]:
    """JPEGs of `count` different photos of 320 x 240, the same ones in every topic of a run."""
    told = progress.track(range(len(_drawn), count), description=f"drawing {count} small photos")
    _drawn.extend(jpeg(photo(seed, *SMALL)) for seed in told)
    return _drawn[:count]


def upload(folder: Path, n: int, data: bytes) -> Upload:
    """A file as a door hands it over."""
    path = folder / f"{n}.jpg"
    path.write_bytes(data)
    return Upload(
        path=path,
        filename=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes=len(data),
    )


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="seenit-bench-") as made:
        yield Path(made)
