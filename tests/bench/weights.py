"""The models that are measured: CLIP ViT-B/32's shape, untrained, and a small trained one."""

from __future__ import annotations

import os
from pathlib import Path

from tests import models


def vit_b32(folder: Path) -> Path:
    """A CLIPModel of ViT-B/32's shape (transformers' own defaults) with random weights, 600 MB."""
    import torch  # noqa: PLC0415 - seconds to import
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel  # noqa: PLC0415 - likewise

    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    models.tokenizer(folder, limit=77)
    return folder


def mini() -> Path | None:
    """A small trained CLIP, where SEENIT_TEST_SHARED has one."""
    shared = os.environ.get("SEENIT_TEST_SHARED")
    folder = Path(shared or "") / "models" / "mini-clip"
    return folder if shared and folder.is_dir() else None
