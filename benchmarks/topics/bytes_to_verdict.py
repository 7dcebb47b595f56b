"""Speed from bytes to verdict, against the usual start: encode each file and hash it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

import imagehash
from PIL import Image
from rich.progress import Progress

from adapters.embedding.dual_encoder import has_bfloat16
from adapters.embedding.visual import VisualEmbedder
from benchmarks.data import models, photos
from benchmarks.data.models import BenchmarkModel
from benchmarks.data.photos import PhotoSource
from benchmarks.report import Row, Run
from benchmarks.service import BATCH, fill, ingest, services
from benchmarks.topics.stages import counted
from evaluation.edits import jpeg
from evaluation.synthetic_photos import photo

BATCHED = 32

Encode = Callable[[Sequence[Image.Image]], object]


class Size(NamedTuple):
    """Numbers of stored and uploaded pictures."""

    stored: int
    uploads: int
    copies: int
    """Uploads, one in ten, that are smaller and re-encoded copies."""


FULL = Size(1_600, 64, 6)
QUICK = Size(20, 10, 1)


class Pictures(NamedTuple):
    """The uploaded files, and the stored ones with the copies' originals."""

    source: PhotoSource
    uploads: list[bytes]
    stored: list[bytes]


def rows(run: Run) -> list[Row]:
    """Measure ViT-B/32's shape with random weights for the target, and a small trained model."""
    every = [_pictures(run, source) for source in run.sources]
    found = []
    with photos.folder() as folder:
        model = models.untrained(folder, quick=run.quick)
        for one in every:  # the target holds for made ones, two megapixels each
            target = 3.0 if one.source.kind == "made" else None
            found.append(_compared(run.progress, model, one, target))
    if small := models.mini():
        found += [_compared(run.progress, small, one, None) for one in every]
    return found


def _pictures(run: Run, source: PhotoSource) -> Pictures:
    size = QUICK if run.quick else FULL
    originals = source.originals(size.copies)
    fresh = source.uploads(run.progress, size.uploads - len(originals))
    uploads = [*fresh, *(jpeg(original, 60) for original in originals)]
    random.Random(1).shuffle(uploads)
    held = [jpeg(_smaller(original)) for original in originals]
    stored = source.stored(run.progress, size.stored - len(originals))
    return Pictures(source, uploads, [*held, *stored])


def _smaller(original: Image.Image) -> Image.Image:
    """Return a picture at 64 % of each side: 1024 x 768 of 1600 x 1200."""
    width, height = original.size
    return original.resize((round(width * 0.64), round(height * 0.64)))


def _compared(
    progress: Progress, model: BenchmarkModel, given: Pictures, target: float | None
) -> Row:
    uploads, stored = given.uploads, given.stored
    path = str(model.folder)
    embedder = VisualEmbedder(path, device="cpu")
    embedder.load()
    with photos.folder() as folder, services(folder, path, visual=embedder) as built:
        fill(progress, built, folder, stored)
        counts = counted(built)
        began = time.perf_counter()
        settled = ingest(built, folder, uploads)
        ours = (time.perf_counter() - began) / len(uploads)
        dtype = embedder.running["dtype"]
    kinds = [operation.states[0].verdict.kind for operation in settled]
    seeds, by = _seeds_way(progress, path, uploads)
    return Row(
        work=f"bytes → verdict on CPU against encode and imagehash in float32, {model.name}",
        photos=given.source.kind,
        unit="x",
        value=seeds["one by one, float32"] / ours,
        target=target,
        details={
            "against": f"{by} {version(by)}, imagehash {version('imagehash')}",
            "ours": f"{ours * 1e3:.1f} ms a picture in {dtype}, batches of {BATCH}",
            "verdicts": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "stored": len(stored),
            "hits, alignments a picture": f"{counts['hits'] / len(uploads):.1f}, "
            f"{counts['compared'] / len(uploads):.1f}",
            **{f"{way}, ms a picture": taken * 1e3 for way, taken in seeds.items()},
        },
    )


def _seeds_way(progress: Progress, path: str, uploads: list[bytes]) -> tuple[dict[str, float], str]:
    """Return seconds a picture to open, hash and encode it, singly and in batches.

    The name of the package that encodes comes with them.
    """
    taken = {}
    by = ""
    with photos.folder() as folder:
        files = [photos.upload(folder, n, data).path for n, data in enumerate(uploads)]
        for dtype in ("float32", "bfloat16") if has_bfloat16("cpu") else ("float32",):
            encode, by = _encoder(path, dtype)
            encode([photo(7, *photos.PREVIEW)])  # the first pass is a warm-up, as ours had one
            for way, size in (("one by one", 1), ("in batches", BATCHED)):
                began = time.perf_counter()
                starts = range(0, len(files), size)
                for start in progress.track(starts, description=f"{by}, {way}, {dtype}"):
                    pictures = [Image.open(path) for path in files[start : start + size]]
                    for picture in pictures:
                        imagehash.phash(picture)
                    encode(pictures)
                taken[f"{way}, {dtype}"] = (time.perf_counter() - began) / len(files)
    return taken, by


def _encoder(path: str, dtype: str) -> tuple[Encode, str]:
    """Return sentence-transformers' `encode` if it is installed, else the same steps."""
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds to import
    except ImportError:
        return _by_hand(path, dtype), "transformers"
    made = SentenceTransformer(
        path, device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}
    )
    return lambda pictures: made.encode(list(pictures)), "sentence-transformers"


def _by_hand(path: str, dtype: str) -> Encode:
    import torch  # noqa: PLC0415 - seconds to import
    from transformers import AutoImageProcessor, AutoModel  # noqa: PLC0415 - likewise

    processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        path, local_files_only=True
    )
    network = AutoModel.from_pretrained(path, local_files_only=True, dtype=dtype).eval()

    def encode(pictures: Sequence[Image.Image]) -> object:
        inputs = processor(images=list(pictures), return_tensors="pt")
        with torch.inference_mode():
            return network.get_image_features(pixel_values=inputs["pixel_values"].to(network.dtype))

    return encode
