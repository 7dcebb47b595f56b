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
SMALL = (512, 384)


def files(progress: Progress, count: int, *, first: int = 0) -> list[bytes]:
    """JPEGs of `count` different photos of 1600 x 1200."""
    seeds = range(first, first + count)
    told = progress.track(seeds, description=f"drawing {count} photos")
    return [jpeg(photo(seed, WIDTH, HEIGHT)) for seed in told]


def small(progress: Progress, count: int, *, first: int) -> list[bytes]:
    """JPEGs of `count` different photos at a preview's size: what is stored needs no more."""
    seeds = range(first, first + count)
    told = progress.track(seeds, description=f"drawing {count} small photos")
    return [jpeg(photo(seed, *SMALL)) for seed in told]


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
