"""Pictures and texts into one space, by any dual encoder that transformers loads."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from PIL import Image

from adapters import scenery, towers
from adapters.hub import find, weights
from adapters.spaces import digest, space_id
from adapters.towers import Towers
from adapters.translate import torch_errors
from core.errors import EmbedderUnavailableError
from core.types import Matrix, Space

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
T = TypeVar("T")

AGREEMENT = 0.999
"""Least cosine between a vector in fewer bits and its float32 one: less could move a verdict."""
SIMILAR_AT = 0.9
"""Least cosine of `similar`, where nobody set one; see docs/why.md for what it lets through."""
BATCHES = {"cpu": 16, "mps": 32, "cuda": 128}
"""Pictures in one forward pass; on a CPU no more, so that a waiting check gets its turn."""
PREPROCESSING = 1
"""Raised when the way from a preview to the model's input, or from its output to a unit vector,
changes any number."""


class VisualEmbedder:
    """Port Embedder over a local folder or a hub id; made in no time, loaded by `load`."""

    def __init__(
        self,
        model: str,
        device: Device = "auto",
        dtype: Dtype = "auto",
        similar_at: float | None = None,
    ) -> None:
        self._name = model
        self._wanted: tuple[Device, Dtype] = (device, dtype)
        self._similar_at = similar_at
        self._absent: str | None = f"{Path(model).name} is still being loaded"
        self._loaded = threading.Event()
        self._loading = threading.Lock()
        self._towers: Towers
        self._space: Space
        self._batch = 1

    @property
    def absent(self) -> str | None:
        """Why there is no model, or not yet; None where there is one."""
        return self._absent

    @property
    def space(self) -> Space:
        """Model and dimensions. Raise EmbedderUnavailableError before and without a model."""
        if self._absent:
            raise EmbedderUnavailableError(self._absent)
        return self._space

    @property
    def running(self) -> dict[str, str]:
        """Device, dtype and way of resizing. Raise EmbedderUnavailableError like `space`."""
        if self._absent:
            raise EmbedderUnavailableError(self._absent)
        return {
            "device": self._device,
            "dtype": str(self._towers.dtype).removeprefix("torch."),
            "resizing": "own" if self._towers.quick else "the model's",
        }

    def load(self) -> None:
        """Load, check and warm up; seconds to minutes, once. What goes wrong is in `absent`."""
        with self._loading:
            if self._loaded.is_set():
                return
            try:
                with torch_errors(f"{self._name} cannot be loaded"):
                    self._load(find(self._name))
                self._absent = None
                logger.info("model %s: %s, %s", self._name, self._space.space_id, self.running)
            except EmbedderUnavailableError as error:
                self._absent = error.detail
                logger.warning(
                    "NO VISUAL MODEL: %s. Hashes, features and geometry go on without it; "
                    "search by picture or text does not.",
                    error.detail,
                )
            finally:
                self._loaded.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until `load` has ended, well or not; False after `seconds`."""
        return self._loaded.wait(seconds)

    def embed_images(self, images: Sequence[Image.Image]) -> Matrix:
        """(n, d) float32 of unit length, in input order. Raise EmbedderUnavailableError."""
        return self._embed(images, Towers.pre)

    def embed_texts(self, texts: Sequence[str]) -> Matrix:
        """(n, d) float32 of unit length, in input order, cut at the model's limit."""
        return self._embed(texts, Towers.tokens)

    def _embed(
        self,
        items: Sequence[T],
        prepare: Callable[[Towers, Sequence[T]], dict[str, torch.Tensor]],
    ) -> Matrix:
        dimensions = self.space.dimensions
        parts: list[Matrix] = []
        done = 0
        with torch_errors(f"{self._name} failed"):
            while done < len(items):
                batch = self._batch
                part = self._forward(prepare(self._towers, items[done : done + batch]), batch)
                if part is not None:
                    parts.append(part)
                    done += len(part)
        return np.concatenate(parts) if parts else np.empty((0, dimensions), np.float32)

    def _forward(self, inputs: dict[str, torch.Tensor], batch: int) -> Matrix | None:
        """Unit vectors; None where memory ran out, and then the next batch is half as large."""
        import torch  # noqa: PLC0415 - seconds to import

        try:
            return towers.post(self._towers.forward(inputs))
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        self._batch = max(1, batch // 2)
        logger.warning("out of memory on %s: batches of %d from now on", self._device, self._batch)
        torch.cuda.empty_cache()
        return None

    def _load(self, folder: Path) -> None:
        self._device = towers.pick_device(self._wanted[0])
        self._batch = BATCHES[self._device]
        self._towers = Towers(folder, self._device)
        pictures, texts = self._trial()
        dtype = self._dtype()
        if dtype != self._towers.dtype:
            self._towers.use(dtype)
            worst = min(
                float(np.sum(exact * less, axis=1).min())
                for exact, less in zip((pictures, texts), self._trial(), strict=True)
            )
            if worst < AGREEMENT:
                logger.warning(
                    "%s keeps a cosine of only %.4f in %s: float32 it is", self._name, worst, dtype
                )
                self._towers = Towers(folder, self._device)
                self._trial()
        self._space = Space(
            space_id=space_id("visual", **_shape(folder), dimensions=pictures.shape[1]),
            kind="visual",
            model=Path(self._name).name if folder == Path(self._name) else self._name,
            dimensions=pictures.shape[1],
            similar_at=_similar_at(pictures) if self._similar_at is None else self._similar_at,
        )

    def _trial(self) -> tuple[Matrix, Matrix]:
        """Vectors of made pictures and texts; the first passes are also the warm-up."""
        images = self._towers.forward(self._towers.pre(scenery.pictures()))
        texts = self._towers.forward(self._towers.tokens(scenery.TEXTS))
        return towers.post(images), towers.post(texts)

    def _dtype(self) -> torch.dtype:
        import torch  # noqa: PLC0415 - likewise

        wanted = self._wanted[1]
        if wanted == "auto":
            return torch.bfloat16 if towers.has_bfloat16(self._device) else torch.float32
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype


def _similar_at(pictures: Matrix) -> float:
    """0.9, or more for a model that puts any two pictures close together.

    An untrained tower gives 0.92 and more to whatever it sees: the threshold then lies half-way
    between the median of our made pictures, which are nothing alike, and 1.
    """
    cosines = pictures @ pictures.T
    median = float(np.median(cosines[~np.eye(len(pictures), dtype=bool)]))
    return max(SIMILAR_AT, math.ceil(50 * (1 + median)) / 100)


def _shape(folder: Path) -> dict[str, Any]:
    """Everything in the model's files that shapes its vectors, whatever version reads them."""
    config = _json(folder / "config.json")
    for name in ("transformers_version", "torch_dtype", "dtype", "_name_or_path"):
        config.pop(name, None)
    return {
        "config": config,
        "weights": [digest(path) for path in weights(folder)],
        "tokenizer": [digest(path) for path in sorted(folder.glob("*token*.json"))],
        "preprocessing": [
            _json(folder / "preprocessor_config.json"),
            _json(folder / "processor_config.json"),
            PREPROCESSING,
        ],
        "pooling": "projected",
        "template": "{}",
    }


def _json(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return read
