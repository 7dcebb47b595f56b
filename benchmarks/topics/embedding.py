"""Speed of the embed stage against the model's bare forward pass."""

from __future__ import annotations

from PIL import Image

from adapters.embedding.visual import BATCHES, VisualEmbedder
from benchmarks.data import models, photos
from benchmarks.report import Row, Run, ratio
from evaluation.synthetic_photos import photo

TIMES, TIMES_QUICK = 7, 2


def rows(run: Run) -> list[Row]:
    """Measure previews to unit vectors, at the same batch, dtype and device."""
    times = TIMES_QUICK if run.quick else TIMES
    previews = [photo(seed, *photos.PREVIEW) for seed in range(BATCHES["cpu"])]
    found = []
    with photos.folder() as folder:
        model = models.untrained(folder, quick=run.quick)
        task = run.progress.add_task(model.name, total=None)
        found.append(_measured(model, previews, times, 0.9))
        run.progress.remove_task(task)
    if small := models.mini():
        found.append(_measured(small, previews, times, None))
    return found


def _measured(
    model: models.BenchmarkModel, previews: list[Image.Image], times: int, target: float | None
) -> Row:
    import torch  # noqa: PLC0415 - seconds to import

    embedder = VisualEmbedder(str(model.folder), device="cpu")
    embedder.load()
    if embedder.absent:
        raise RuntimeError(embedder.absent)
    towers = embedder._network
    pixels = towers.pre.finish(towers.pre(previews)["pixel_values"]).to(towers.dtype)

    def bare() -> None:
        with torch.inference_mode():
            towers._model.get_image_features(pixel_values=pixels)

    stage, forward = ratio(lambda: embedder.embed_images(previews), bare, times)
    return Row(
        work=f"embed stage against the bare forward pass, {model.name}",
        photos="made",
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
