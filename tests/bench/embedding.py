"""The embed stage against the model's bare forward pass."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from rich.progress import Progress

from adapters.visual_embedder import BATCHES, VisualEmbedder
from core.scenes import photo
from tests.bench import photos, weights
from tests.bench.rows import Row, ratio

TIMES = 7


def rows(progress: Progress) -> list[Row]:
    """Previews in, unit vectors out, at the same batch, dtype and device."""
    batch = BATCHES["cpu"]
    previews = [photo(seed, *photos.PREVIEW) for seed in range(batch)]
    found = []
    with photos.folder() as folder:
        task = progress.add_task("ViT-B/32", total=None)
        found.append(_measured("ViT-B/32's shape", weights.vit_b32(folder), previews, 0.9))
        progress.remove_task(task)
    if small := weights.mini():
        found.append(_measured(small.name, small, previews, None))
    return found


def _measured(name: str, folder: Path, previews: list[Image.Image], target: float | None) -> Row:
    import torch  # noqa: PLC0415 - seconds to import

    embedder = VisualEmbedder(str(folder), device="cpu")
    embedder.load()
    if embedder.absent:
        raise RuntimeError(embedder.absent)
    towers = embedder._network
    pixels = towers._preprocess.finish(towers.pre(previews)["pixel_values"]).to(towers.dtype)

    def bare() -> None:
        with torch.inference_mode():
            towers._model.get_image_features(pixel_values=pixels)

    stage, forward = ratio(lambda: embedder.embed_images(previews), bare, TIMES)
    return Row(
        work=f"embed stage against the bare forward pass, {name}",
        unit="x",
        value=forward / stage,
        target=target,
        details={
            "batch": len(previews),
            **embedder.running,
            "bare forward, ms a picture": forward / len(previews) * 1e3,
            "embed stage, ms a picture": stage / len(previews) * 1e3,
        },
    )
