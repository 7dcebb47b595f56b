"""Photos to measure: made ones of two megapixels, and real ones of a named folder.

SEENIT_PHOTOS names a folder with originals/, lookalikes/ and captioned/, or a plain folder of
pictures; without it, photos/ of the folder that SEENIT_TEST_SHARED names.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image, ImageOps
from rich.progress import Progress

from core.errors import InputError
from core.imaging.decoding import decode
from core.ingest.accept import Upload
from core.types import Limits
from evaluation.edits import jpeg
from evaluation.synthetic_photos import photo

WIDTH, HEIGHT = 1600, 1200
PREVIEW = (512, 384)
SMALL = (320, 240)
"""Size of the stored made photos: drawing 1,600 larger ones would take longer than measuring."""
UPLOADED = 100_000
COPIED = 300_000
"""First seeds, so that no made photo is drawn twice in one library."""
VARIED = ("originals", "lookalikes")
"""Folders of different and of nearly the same photos: half are uploaded, half stored before."""
FURTHER = ("captioned",)
"""Folders of photos that are only stored."""
LEAST = 16
EACH = 8
"""Every so many uploaded real photos, one is an original of which copies are made."""

Kind = Literal["made", "real"]


class PhotosError(Exception):
    """An error of a folder that cannot be measured."""


class PhotoSource(Protocol):
    """A source of photos; topics share it, as each has a library of its own."""

    kind: Kind

    def uploads(self, progress: Progress, count: int) -> list[bytes]:
        """Return at most `count` files to upload."""

    def stored(self, progress: Progress, count: int) -> list[bytes]:
        """Return at most `count` other files, to store before."""

    def originals(self, count: int) -> list[Image.Image]:
        """Return at most `count` other pictures, of which copies are made."""

    def apart(self, count: int | None) -> tuple[list[bytes], list[bytes]]:
        """Return files to edit, and others; at most `count` of each, None for all."""

    def scenes(self, count: int) -> list[bytes]:
        """Return about `count` files of all kinds, from which crops are cut."""


class MadePhotos:
    """A source of photos drawn from seeds, cached for the other topics of a run."""

    kind: Kind = "made"
    APART = 300

    def __init__(self) -> None:
        self._uploads: list[bytes] = []
        self._stored: list[bytes] = []

    def uploads(self, progress: Progress, count: int) -> list[bytes]:
        """Draw JPEGs of 1600 x 1200."""
        seeds = range(UPLOADED + len(self._uploads), UPLOADED + count)
        tracked = progress.track(seeds, description=f"drawing {count} photos")
        self._uploads += [jpeg(photo(seed, WIDTH, HEIGHT)) for seed in tracked]
        return self._uploads[:count]

    def stored(self, progress: Progress, count: int) -> list[bytes]:
        """Draw JPEGs of 320 x 240."""
        seeds = range(len(self._stored), count)
        tracked = progress.track(seeds, description=f"drawing {count} small photos")
        self._stored += [jpeg(photo(seed, *SMALL)) for seed in tracked]
        return self._stored[:count]

    def originals(self, count: int) -> list[Image.Image]:
        """Draw pictures of 1600 x 1200."""
        return [photo(COPIED + n, WIDTH, HEIGHT) for n in range(count)]

    def apart(self, count: int | None) -> tuple[list[bytes], list[bytes]]:
        """Draw JPEGs of 512 x 384, 300 of each if `count` is None."""
        each = count or self.APART
        drawn = [jpeg(photo(seed, 512, 384)) for seed in range(2 * each)]
        return drawn[:each], drawn[each:]

    def scenes(self, count: int) -> list[bytes]:
        """Draw JPEGs of 512 x 384."""
        return [jpeg(photo(seed, 512, 384)) for seed in range(count)]


class RealPhotos:
    """A source of a folder's photos in a fixed order; broken files are left out."""

    kind: Kind = "real"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise PhotosError(
                f"SEENIT_PHOTOS={folder} is no folder: name one with originals/, lookalikes/ and "
                "captioned/, or one of pictures."
            )
        groups = [_below(folder / name) for name in (*VARIED, *FURTHER)]
        if any(groups):
            varied = list(chain(*groups[: len(VARIED)]))
            further = list(chain(*groups[len(VARIED) :]))
            self._own, self._other = groups[0], list(chain(*groups[1:]))
        else:
            varied, further = _below(folder), []
            self._own, self._other = varied[::2], varied[1::2]
        self.paths = [*varied, *further]
        if len(self.paths) < LEAST or len(varied) < LEAST // 2:
            raise PhotosError(
                f"SEENIT_PHOTOS={folder} has {len(self.paths)} pictures, {len(varied)} of them to "
                f"be uploaded; name a folder with at least {LEAST}."
            )
        dice = random.Random(5)
        dice.shuffle(varied)
        uploaded = varied[: len(varied) // 2]
        self._copied = uploaded[::EACH]
        self._uploaded = [path for n, path in enumerate(uploaded) if n % EACH]
        self._stored = [*varied[len(uploaded) :], *further]
        dice.shuffle(self._stored)
        self._kept: dict[Path, bytes | None] = {}

    def uploads(self, progress: Progress, count: int) -> list[bytes]:
        """Read the photos to upload."""
        return self._read(progress, self._uploaded, count)

    def stored(self, progress: Progress, count: int) -> list[bytes]:
        """Read photos that resemble uploaded ones, and the captioned ones."""
        return self._read(progress, self._stored, count)

    def originals(self, count: int) -> list[Image.Image]:
        """Open the originals of copies, upright."""
        files = (data for path in self._copied if (data := self._file(path)) is not None)
        return [upright(data) for data in islice(files, count)]

    def apart(self, count: int | None) -> tuple[list[bytes], list[bytes]]:
        """Read the originals, and all others; a plain folder's alternate."""
        own, other = (
            [data for path in paths[:count] if (data := self._file(path)) is not None]
            for paths in (self._own, self._other)
        )
        return own, other

    def scenes(self, count: int) -> list[bytes]:
        """Read photos that are evenly spread over the folder."""
        step = max(1, len(self.paths) // count)
        return [data for path in self.paths[::step] if (data := self._file(path)) is not None]

    @property
    def digest(self) -> str:
        """Return a digest of the files' names and sizes."""
        files = [f"{path.name} {path.stat().st_size}" for path in self.paths]
        return hashlib.sha256("\n".join(files).encode()).hexdigest()[:8]

    def _read(self, progress: Progress, paths: Sequence[Path], count: int) -> list[bytes]:
        tracked = progress.track(paths[:count], description=f"reading {count} real photos")
        return [data for path in tracked if (data := self._file(path)) is not None]

    def _file(self, path: Path) -> bytes | None:
        """Return a file that decodes, None for a broken one."""
        if path not in self._kept:
            data = path.read_bytes()
            try:
                decode(data, Limits())
            except InputError:
                self._kept[path] = None
            else:
                self._kept[path] = data
        return self._kept[path]


def named() -> Path | None:
    """Return the folder of real photos, None if the environment names none."""
    if own := os.environ.get("SEENIT_PHOTOS"):
        return Path(own)
    shared = os.environ.get("SEENIT_TEST_SHARED")
    below = Path(shared or "") / "photos"
    return below if shared and below.is_dir() else None


def upload(folder: Path, n: int, data: bytes) -> Upload:
    """Return a file as the API passes it to acceptance."""
    path = folder / f"{n}.jpg"
    path.write_bytes(data)
    return Upload(
        path=path,
        filename=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes=len(data),
    )


def upright(data: bytes) -> Image.Image:
    """Return a file's picture, upright and in RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


@contextmanager
def folder() -> Iterator[Path]:
    """Create a temporary folder and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="seenit-bench-") as made:
        yield Path(made)


def _below(folder: Path) -> list[Path]:
    suffixes = Image.registered_extensions()
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()
    )
