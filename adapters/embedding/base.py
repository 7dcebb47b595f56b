"""Base of all models here: loaded once, checked, and run in small batches."""

from __future__ import annotations

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np

from adapters.embedding import dual_encoder, priority_lock
from adapters.embedding.errors import torch_errors
from adapters.embedding.model_files import check_files, weights
from adapters.embedding.space_id import digest
from adapters.embedding.weights import find
from core.errors import EmbedderUnavailableError
from core.types import Matrix, Space

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

AGREEMENT = 0.999
"""Least cosine between a vector in fewer bits and its float32 one: less could move a verdict."""
_OPENING = threading.Lock()
"""Lock for loading one model at a time: transformers fills its modules when they are first used,
and a second thread meanwhile finds them incomplete (seen: no attribute AutoTokenizer)."""


class LoadedModel(Protocol):
    """Port to a model on its device."""

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights."""

    def use(self, dtype: torch.dtype) -> None:
        """Convert the weights to this type."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, d) on the device, of any length."""


N = TypeVar("N", bound=LoadedModel)
T = TypeVar("T")


class LazyModel(ABC, Generic[N]):
    """Model by its folder or hub id; created at once, loaded by `load`."""

    lack: ClassVar[str]
    """Warning of the log if there is no model; %s is the reason."""
    batches: ClassVar[Mapping[str, int]]
    """Items in one forward pass, by device; few enough that a waiting caller gets its turn."""

    def __init__(self, model: str, device: Device = "auto", dtype: Dtype = "auto") -> None:
        self._name = model
        self._wanted: tuple[Device, Dtype] = (device, dtype)
        self.absent: str | None = f"{Path(model).name} is still being loaded"
        """Reason why there is no model, or not yet; None if there is one."""
        self._loaded = threading.Event()
        self._loading = threading.Lock()
        self._network: N
        self._space: Space
        self._device = "cpu"
        self._batch = 1

    @property
    def space(self) -> Space:
        """Return model and dimensions.

        Raise EmbedderUnavailableError before `load` and without a model.
        """
        if self.absent:
            raise EmbedderUnavailableError(self.absent)
        return self._space

    @property
    def running(self) -> dict[str, str]:
        """Return device and dtype. Raise EmbedderUnavailableError like `space`."""
        if self.absent:
            raise EmbedderUnavailableError(self.absent)
        return self._running()

    def load(self) -> None:
        """Load, check and warm up; seconds to minutes, once. A failure is reported by `absent`."""
        with self._loading:
            if self._loaded.is_set():
                return
            try:
                with torch_errors(f"{self._name} cannot be loaded"):
                    folder = find(self._name)
                    check_files(folder)
                    with _OPENING:
                        self._load(folder)
                self.absent = None
                logger.info("model %s: %s, %s", self._name, self._space.space_id, self.running)
            except EmbedderUnavailableError as error:
                self.absent = error.detail
                logger.warning(self.lack, error.detail)
            finally:
                self._loaded.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until `load` has ended, also in failure; return False after `seconds`."""
        return self._loaded.wait(seconds)

    # --- of each kind of model ------------------------------------------------------------------

    @abstractmethod
    def _open(self, folder: Path) -> N:
        """Open the model in float32, on `self._device`."""

    @abstractmethod
    def _trial(self) -> list[dict[str, torch.Tensor]]:
        """Return arguments of a few trial passes; the first are also the warm-up."""

    @abstractmethod
    def _describe(self, folder: Path, tried: Sequence[Matrix]) -> Space:
        """Describe the space, given the vectors of the trial in float32."""

    def _running(self) -> dict[str, str]:
        dtype = str(self._network.dtype).removeprefix("torch.")
        return {"device": self._device, "dtype": dtype}

    # --- shared by them -------------------------------------------------------------------------

    def _embed(
        self,
        items: Sequence[T],
        prepare: Callable[[N, Sequence[T]], dict[str, torch.Tensor]],
        *,
        urgent: bool,
    ) -> Matrix:
        """Embed as unit vectors in input order; other callers run between small batches."""
        dimensions = self.space.dimensions
        parts: list[Matrix] = []
        done = 0
        with torch_errors(f"{self._name} failed"):
            while done < len(items):
                batch = self._batch
                inputs = prepare(self._network, items[done : done + batch])
                if self._device == "cuda":  # so that the turn is spent on computing
                    inputs = {name: value.pin_memory() for name, value in inputs.items()}
                part = self._forward(inputs, batch, urgent=urgent)
                if part is not None:
                    parts.append(part)
                    done += len(part)
        return np.concatenate(parts) if parts else np.empty((0, dimensions), np.float32)

    def _forward(
        self, inputs: dict[str, torch.Tensor], batch: int, *, urgent: bool
    ) -> Matrix | None:
        """Return unit vectors; None if memory ran out, and then the next batch is half as large.

        On a busy CPU half of the cores are used. Threads wait for each other by spinning, which
        takes time from the decoding children: with mini-clip on two busy cores a pass over one
        picture took 29 ms on both and 10 on one.
        """
        import torch  # noqa: PLC0415 - seconds to import

        try:
            with priority_lock.SHARED.take(urgent=urgent) as busy:
                threads = max(1, _threads() // 2) if busy else _threads()
                if self._device == "cpu" and torch.get_num_threads() != threads:
                    torch.set_num_threads(threads)
                return dual_encoder.post(self._network.forward(inputs))
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        self._batch = max(1, batch // 2)
        logger.warning("out of memory on %s: batches of %d from now on", self._device, self._batch)
        torch.cuda.empty_cache()
        return None

    def _load(self, folder: Path) -> None:
        self._device = dual_encoder.pick_device(self._wanted[0])
        self._batch = self.batches[self._device]
        self._network = self._open(folder)
        exact = self._tried()
        dtype = self._dtype()
        if dtype != self._network.dtype:
            self._network.use(dtype)
            worst = min(
                float(np.sum(one * less, axis=1).min())
                for one, less in zip(exact, self._tried(), strict=True)
            )
            if worst < AGREEMENT:
                logger.warning(
                    "%s keeps a cosine of only %.4f in %s: float32 it is", self._name, worst, dtype
                )
                self._network = self._open(folder)
                self._tried()
        self._space = self._describe(folder, exact)

    def _tried(self) -> list[Matrix]:
        found = []
        for inputs in self._trial():
            with priority_lock.SHARED.take():
                found.append(dual_encoder.post(self._network.forward(inputs)))
        return found

    def _dtype(self) -> torch.dtype:
        import torch  # noqa: PLC0415 - likewise

        wanted = self._wanted[1]
        if wanted == "auto":
            return torch.bfloat16 if dual_encoder.has_bfloat16(self._device) else torch.float32
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype

    def _title(self, folder: Path) -> str:
        """Return the model's usual name: a hub id, or the last part of a folder's path."""
        return Path(self._name).name if folder == Path(self._name) else self._name


@cache
def _threads() -> int:
    """Return torch's default number of threads: the cores, or OMP_NUM_THREADS."""
    import torch  # noqa: PLC0415 - likewise

    return int(torch.get_num_threads())


def shape(folder: Path) -> dict[str, Any]:
    """Return configuration and weights, which shape a model's vectors in every version."""
    config = read(folder / "config.json")
    for name in ("transformers_version", "torch_dtype", "dtype", "_name_or_path"):
        config.pop(name, None)
    return {"config": config, "weights": [digest(path) for path in weights(folder)]}


def read(path: Path) -> dict[str, Any]:
    """Read a JSON file; return an empty object if there is none."""
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found
