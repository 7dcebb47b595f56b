"""Preprocessing of pictures for a model, equal to its own processor, and faster where possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""Tolerance of a normalised channel; one step of 8 bits is 0.015 or more there."""


class PreprocessPlan(NamedTuple):
    """Steps of CLIP's and SigLIP's processors: resize, crop the middle, scale, normalise."""

    size: tuple[int, int] | int
    """Width and height, or the short side alone."""
    resample: Image.Resampling
    crop: tuple[int, int] | None
    """Width and height of the middle that is kept."""
    scale: tuple[float, ...]
    """Factor of each channel: `value * scale + shift`, value in 0..255."""
    shift: tuple[float, ...]


class Preprocessor:
    """Image processor of a model; `read` checks whether the fast path gives the same numbers."""

    def __init__(self, processor: Any) -> None:  # noqa: ANN401 - the vendor's classes have no type
        self._processor = processor
        self._plan = _verified(processor)

    @property
    def quick(self) -> bool:
        """Return whether the fast path gives the processor's own numbers."""
        return self._plan is not None

    def __call__(self, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        """Return the model's arguments for RGB pictures, on the CPU; uint8 pixels or float32."""
        if self._plan is None:
            return dict(self._processor(images=list(images), return_tensors="pt"))
        import torch  # noqa: PLC0415 - heavy, and absent models need none

        pixels = np.stack([_cut(image, self._plan) for image in images])
        return {"pixel_values": torch.from_numpy(pixels).permute(0, 3, 1, 2)}

    def finish(self, pixels: torch.Tensor) -> torch.Tensor:
        """Convert uint8 pixels to normalised float32, on their device."""
        if self._plan is None:
            return pixels
        values = pixels.float()
        scale = values.new_tensor(self._plan.scale).view(1, 3, 1, 1)
        shift = values.new_tensor(self._plan.shift).view(1, 3, 1, 1)
        return values.mul_(scale).add_(shift)


def _verified(processor: Any) -> PreprocessPlan | None:  # noqa: ANN401
    """Return the plan that reproduces the processor on pictures of several shapes, or None."""
    plan = _plan(processor)
    if plan is None:
        return None
    random = np.random.default_rng(7)
    for width, height in ((512, 341), (301, 512), (60, 47), (512, 512)):
        noise = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        expected = processor(images=[image], return_tensors="np")
        if set(expected) != {"pixel_values"}:
            return None
        pixels = np.asarray(expected["pixel_values"])[0].transpose(1, 2, 0)
        quick = _cut(image, plan) * np.array(plan.scale) + np.array(plan.shift)
        if pixels.shape != quick.shape or np.abs(pixels - quick).max() > TOLERANCE:
            return None
    return plan


def _plan(processor: Any) -> PreprocessPlan | None:  # noqa: ANN401
    size = _size(getattr(processor, "size", None))
    if not getattr(processor, "do_resize", False) or size is None:
        return None
    crop: tuple[int, int] | None = None
    if getattr(processor, "do_center_crop", False):
        middle = _size(processor.crop_size)
        if not isinstance(middle, tuple):
            return None
        crop = middle
    if isinstance(size, int) and crop is None:
        return None  # pictures of different shapes: no batch
    factor = processor.rescale_factor if getattr(processor, "do_rescale", False) else 1.0
    mean, std = [0.0] * 3, [1.0] * 3
    if getattr(processor, "do_normalize", False):
        mean, std = list(processor.image_mean), list(processor.image_std)
    return PreprocessPlan(
        size=size,
        resample=Image.Resampling(int(processor.resample)),
        crop=crop,
        scale=tuple(factor / each for each in std),
        shift=tuple(-middle / each for middle, each in zip(mean, std, strict=True)),
    )


def _size(size: Any) -> tuple[int, int] | int | None:  # noqa: ANN401
    """Read a processor's size, which is a mapping or an object like one."""
    if size is None:
        return None
    given = {key: size[key] for key in ("height", "width", "shortest_edge") if key in size}
    known = {key: int(value) for key, value in given.items() if value is not None}
    match known:
        case {"height": height, "width": width}:
            return width, height
        case {"shortest_edge": short}:
            return short
    return None


def _cut(image: Image.Image, plan: PreprocessPlan) -> np.typing.NDArray[np.uint8]:
    """Return (height, width, 3) uint8: resized, then cropped to the middle."""
    width, height = image.size
    if isinstance(plan.size, int):
        short, long = sorted(image.size)
        other = int(plan.size * long / short)
        size = (plan.size, other) if width <= height else (other, plan.size)
    else:
        size = plan.size
    if image.mode != "RGB":
        image = image.convert("RGB")
    image = image.resize(size, plan.resample)
    if plan.crop:
        left, top = (size[0] - plan.crop[0]) // 2, (size[1] - plan.crop[1]) // 2
        image = image.crop((left, top, left + plan.crop[0], top + plan.crop[1]))
    return np.asarray(image)
