"""From bytes to verdict, against the way everyone starts: encode each file and hash it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import imagehash
from PIL import Image
from rich.progress import Progress

from adapters.towers import has_bfloat16
from adapters.visual_embedder import VisualEmbedder
from core.edits import jpeg
from core.scenes import photo
from tests.bench import photos, weights
from tests.bench.rows import Row
from tests.bench.running import BATCH, fill, ingest, services
from tests.bench.stages import _counted as counted

STORED = 1_600
UPLOADS = 64
COPIES = 6
"""One upload in ten is a copy: smaller, and encoded anew."""
BATCHED = 32

Encode = Callable[[Sequence[Image.Image]], object]


def rows(progress: Progress) -> list[Row]:
    """ViT-B/32's shape with random weights for the target, a small trained model beside it."""
    uploads, stored = _pictures(progress)
    found = []
    with photos.folder() as folder:
        found.append(
            _compared(progress, "ViT-B/32's shape", weights.vit_b32(folder), uploads, stored, 3.0)
        )
    if small := weights.mini():
        found.append(_compared(progress, small.name, small, uploads, stored, None))
    return found


def _pictures(progress: Progress) -> tuple[list[bytes], list[bytes]]:
    """Uploads of two megapixels, and what is stored before them, the copies' originals too."""
    fresh = photos.files(progress, UPLOADS - COPIES, first=200_000)
    originals = [photo(300_000 + n, photos.WIDTH, photos.HEIGHT) for n in range(COPIES)]
    uploads = [*fresh, *(jpeg(original, 60) for original in originals)]
    random.Random(1).shuffle(uploads)
    held = [jpeg(original.resize((1024, 768))) for original in originals]
    return uploads, [*held, *photos.small(progress, STORED - COPIES)]


def _compared(  # noqa: PLR0917 - private, two callers
    progress: Progress,
    name: str,
    model: Path,
    uploads: list[bytes],
    stored: list[bytes],
    target: float | None,
) -> Row:
    embedder = VisualEmbedder(str(model), device="cpu")
    embedder.load()
    with photos.folder() as folder, services(folder, str(model), visual=embedder) as built:
        fill(progress, built, folder, stored)
        counts = counted(built)
        began = time.perf_counter()
        settled = ingest(built, folder, uploads)
        ours = (time.perf_counter() - began) / len(uploads)
        dtype = embedder.running["dtype"]
    told = [operation.states[0].verdict.kind for operation in settled]
    seeds, by = _seeds_way(progress, model, uploads)
    return Row(
        work=f"bytes → verdict on CPU against encode and imagehash in float32, {name}",
        unit="x",
        value=seeds["one by one, float32"] / ours,
        target=target,
        details={
            "against": f"{by} {version(by)}, imagehash {version('imagehash')}",
            "ours": f"{ours * 1e3:.1f} ms a picture in {dtype}, batches of {BATCH}",
            "verdicts": {kind: told.count(kind) for kind in sorted(set(told))},
            "hits, alignments a picture": f"{counts['hits'] / len(uploads):.1f}, "
            f"{counts['compared'] / len(uploads):.1f}",
            **{f"{way}, ms a picture": taken * 1e3 for way, taken in seeds.items()},
        },
    )


def _seeds_way(
    progress: Progress, model: Path, uploads: list[bytes]
) -> tuple[dict[str, float], str]:
    """Seconds a picture: open the file, hash it, encode it; one by one and in batches.

    And the package that encodes.
    """
    taken = {}
    by = ""
    with photos.folder() as folder:
        files = [photos.upload(folder, n, data).path for n, data in enumerate(uploads)]
        for dtype in ("float32", "bfloat16") if has_bfloat16("cpu") else ("float32",):
            encode, by = _encoder(model, dtype)
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


def _encoder(model: Path, dtype: str) -> tuple[Encode, str]:
    """sentence-transformers' `encode` where it is installed, else the same steps by hand."""
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds to import
    except ImportError:
        return _by_hand(model, dtype), "transformers"
    made = SentenceTransformer(
        str(model), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}
    )
    return lambda pictures: made.encode(list(pictures)), "sentence-transformers"


def _by_hand(model: Path, dtype: str) -> Encode:
    import torch  # noqa: PLC0415 - seconds to import
    from transformers import AutoImageProcessor, AutoModel  # noqa: PLC0415 - likewise

    processor = AutoImageProcessor.from_pretrained(model, local_files_only=True)
    network = AutoModel.from_pretrained(model, local_files_only=True, dtype=dtype).eval()

    def encode(pictures: Sequence[Image.Image]) -> object:
        inputs = processor(images=list(pictures), return_tensors="pt")
        with torch.inference_mode():
            return network.get_image_features(pixel_values=inputs["pixel_values"].to(network.dtype))

    return encode
