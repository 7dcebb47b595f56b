"""Tens of thousands of distinct crops of photos, fingerprinted and embedded once, then cached."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from PIL import Image
from rich.progress import Progress

from adapters.embedding.visual import VisualEmbedder
from benchmarks.data import photos
from benchmarks.data.models import BenchmarkModel
from benchmarks.data.photos import PhotoSource, RealPhotos
from core.fingerprint.fingerprint import fingerprint
from core.types import Fingerprint, Limits, Matrix
from evaluation.edits import jpeg

BATCH = 64
SCENES = 1_600
"""Maximum pictures from which crops are cut."""
LEAST = 0.35
"""Minimum share of each side that a crop shows: smaller ones of one photo are alike."""


class Crops(NamedTuple):
    """(n,) fingerprints and (n, d) vectors of one dual encoder, shuffled, in the same order."""

    fingerprints: list[Fingerprint]
    vectors: Matrix
    space_id: str


def crops(
    progress: Progress, source: PhotoSource, model: BenchmarkModel, count: int, kept: Path
) -> Crops:
    """Return `count` crops, from the folder `kept` if they were made before."""
    which = source.digest if isinstance(source, RealPhotos) else source.kind
    path = kept / f"crops-{which}-{model.name.replace(' ', '-')}-{count}.msgpack"
    if not path.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.msgpack.encode(_made(progress, source, model, count)))
    fingerprints, vectors, space_id = msgspec.msgpack.decode(
        path.read_bytes(), type=tuple[list[Fingerprint], bytes, str]
    )
    matrix = np.frombuffer(vectors, "<f4").reshape(len(fingerprints), -1)
    order = np.random.default_rng(3).permutation(len(fingerprints))  # they come photo by photo
    return Crops([fingerprints[n] for n in order], matrix[order], space_id)


def _made(
    progress: Progress, source: PhotoSource, model: BenchmarkModel, count: int
) -> tuple[list[Fingerprint], bytes, str]:
    embedder = VisualEmbedder(str(model.folder), device="cpu")
    embedder.load()
    if embedder.absent:
        raise RuntimeError(embedder.absent)
    limits = Limits()
    prints: list[Fingerprint] = []
    rows: list[Matrix] = []
    pictures = islice(_pictures(source, count), count)
    task = progress.add_task(f"making {count} crops of {source.kind} photos", total=count)
    while batch := list(islice(pictures, BATCH)):
        made = [fingerprint(data, limits) for data in batch]
        rows.append(embedder.embed_images([Image.fromarray(one.preview) for one, _ in made]))
        prints += [print_ for _, print_ in made]
        progress.advance(task, len(batch))
    progress.remove_task(task)
    return prints, np.concatenate(rows).astype("<f4").tobytes(), embedder.space.space_id


def _pictures(source: PhotoSource, count: int) -> Iterator[bytes]:
    """Yield JPEGs of distinct crops, as many of each photo."""
    dice = random.Random(7)
    scenes = source.scenes(min(SCENES, count))
    each = -(-count // len(scenes))
    for data in scenes:
        scene = photos.upright(data)
        scene.thumbnail((512, 512))
        for _ in range(each):
            yield jpeg(scene.crop(_box(scene.size, dice)), 90)


def _box(size: tuple[int, int], dice: random.Random) -> tuple[int, int, int, int]:
    width, height = (max(32, int(side * dice.uniform(LEAST, 0.9))) for side in size)
    x = dice.randrange(max(1, size[0] - width))
    y = dice.randrange(max(1, size[1] - height))
    return x, y, min(size[0], x + width), min(size[1], y + height)
