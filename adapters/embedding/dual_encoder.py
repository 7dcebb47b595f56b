"""Dual encoder of transformers on a device, with a number type of choice."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from adapters.embedding.model_files import lacks
from adapters.embedding.preprocess import Preprocessor
from core.types import Matrix

if TYPE_CHECKING:
    import torch

TEXT_LIMIT = 77
"""Tokens of a model without a limit of its own, as in CLIP."""
CONVOLUTIONS = 4
"""Convolutions from which a tower is convolutional: a transformer has one, for its patches."""


class DualEncoder:
    """Preprocessing, network and normalisation of one model; complete after `DualEncoder(...)`."""

    def __init__(self, folder: Path, device: str) -> None:
        import transformers as vendor  # noqa: PLC0415 - seconds to import

        transformers: Any = vendor  # its functions have no types
        transformers.utils.logging.disable_progress_bar()
        own = {"local_files_only": True, "trust_remote_code": False}
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **own)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **own)
        self._model: Any
        self._model, told = transformers.AutoModel.from_pretrained(
            folder, dtype="float32", output_loading_info=True, **own
        )
        if lack := lacks(list(told["missing_keys"])):
            raise ValueError(lack)
        if not hasattr(self._model, "get_image_features"):
            raise TypeError(f"{type(self._model).__name__} does not embed pictures and texts")
        self.pre = Preprocessor(processor)
        """Conversion of pictures to the model's arguments, on the CPU."""
        self._device = device
        self._model.eval().requires_grad_(requires_grad=False).to(device)
        if _convolutional(self._model):
            import torch  # noqa: PLC0415 - likewise

            # MobileNetV2 on two cores: measured, see docs/why.md.
            self._model.to(memory_format=torch.channels_last)
        self._limit = _text_limit(self._model.config, self._tokenizer)
        # SigLIP's texts were padded to the full length in training, and its attention sees it.
        family = str(self._model.config.model_type)
        self._padding = "max_length" if family.startswith("siglip") else "longest"

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights."""
        dtype: torch.dtype = self._model.dtype
        return dtype

    def use(self, dtype: torch.dtype) -> None:
        """Convert the weights to this type."""
        self._model.to(dtype)

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, d) on the device, not of unit length."""
        import torch  # noqa: PLC0415 - likewise

        with torch.inference_mode():
            ready = {
                name: value.to(self._device, non_blocking=True) for name, value in inputs.items()
            }
            if "pixel_values" in ready:
                pixels = self.pre.finish(ready["pixel_values"])
                ready["pixel_values"] = pixels.to(self._model.dtype)
                output = self._model.get_image_features(**ready)
            else:
                output = self._model.get_text_features(**ready)
        # Transformers 5 gives an object, whose `pooler_output` is the projected vector.
        features: torch.Tensor = getattr(output, "pooler_output", output)
        return features

    def tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Convert texts to the model's arguments, cut at its limit."""
        return dict(
            self._tokenizer(
                list(texts),
                padding=self._padding,
                truncation=True,
                max_length=self._limit,
                return_tensors="pt",
            )
        )


def post(features: torch.Tensor) -> Matrix:
    """Scale the output of a forward pass to (n, d) float32 of unit length."""
    raw = features.float().cpu().numpy()
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("the model gave vectors without a direction")
    unit: Matrix = (raw / lengths).astype(np.float32)
    return unit


def pick_device(wanted: Literal["auto", "cpu", "cuda", "mps"]) -> str:
    """Select a device; `auto` takes CUDA, then Apple's GPU, then the CPU."""
    import torch  # noqa: PLC0415 - likewise

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bfloat16(device: str) -> bool:
    """Return whether the chip multiplies bfloat16 natively: emulated, it is slower than float32.

    GPUs report it through torch (compute capability 8.0); a CPU by its flags: AVX512_BF16,
    AMX_BF16, or Arm's bf16. Apple's GPU stays at float32, because it was not measured.
    """
    import torch  # noqa: PLC0415 - likewise

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or platform.system() != "Linux":
        return False
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags.split())


def _convolutional(model: Any) -> bool:  # noqa: ANN401 - the vendor's classes have no type
    import torch  # noqa: PLC0415 - likewise

    found = sum(isinstance(part, torch.nn.Conv2d) for part in model.modules())
    return found >= CONVOLUTIONS


def _text_limit(config: Any, tokenizer: Any) -> int:  # noqa: ANN401 - likewise
    text = getattr(config, "text_config", config)
    places = getattr(text, "max_position_embeddings", TEXT_LIMIT)
    return min(int(places), int(tokenizer.model_max_length))
