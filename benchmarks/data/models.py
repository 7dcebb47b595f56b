"""Models to measure: CLIP ViT-B/32's shape, untrained, and small trained ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.doubles import tiny_models


class BenchmarkModel(NamedTuple):
    """A folder that transformers loads, and its name in a row."""

    name: str
    folder: Path


def untrained(folder: Path, *, quick: bool) -> BenchmarkModel:
    """Make a CLIPModel of ViT-B/32's shape with random weights, 600 MB; if quick, a tiny one."""
    if quick:
        return tiny(folder)
    import torch  # noqa: PLC0415 - seconds to import
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel  # noqa: PLC0415 - likewise

    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)  # transformers' own defaults are that shape
    CLIPImageProcessor().save_pretrained(folder)
    tiny_models.tokenizer(folder, limit=77)
    return BenchmarkModel("ViT-B/32's shape", folder)


def tiny(folder: Path) -> BenchmarkModel:
    """Make an untrained CLIPModel of a few layers."""
    return BenchmarkModel("a tiny untrained CLIP", tiny_models.clip(folder))


def mini() -> BenchmarkModel | None:
    """Return a small trained CLIP, None if SEENIT_TEST_SHARED has none."""
    return trained("mini-clip")


def trained(name: str) -> BenchmarkModel | None:
    """Return a trained model by its folder, None if SEENIT_TEST_SHARED lacks it."""
    shared = os.environ.get("SEENIT_TEST_SHARED")
    folder = Path(shared or "") / "models" / name
    return BenchmarkModel(name, folder) if shared and folder.is_dir() else None
