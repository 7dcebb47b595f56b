"""Tiny untrained encoders, saved in the format of transformers."""

# ruff: noqa: PLC0415 - torch takes seconds to import: only where a test needs it

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ("a", "photo", "of", "cat", "dog", "red", "receipt", "the", "blue", "sky")
SIDE = 48


def clip(folder: Path, *, projection: int = 24) -> Path:
    """Save a CLIPModel whose processor resizes the short side and crops the middle."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(3)
    text = {**_text(), "projection_dim": projection}
    vision = {**_vision(), "projection_dim": projection}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    tokenizer(folder)
    return folder


def siglip(folder: Path) -> Path:
    """Save a SiglipModel whose processor squashes to a square."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(4)
    config = SiglipConfig(text_config=_text(), vision_config=_vision())
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    tokenizer(folder)
    return folder


def two_towers(folder: Path) -> Path:
    """Save a VisionTextDualEncoderModel of a ViT and a BERT."""
    import torch
    from transformers import (
        BertConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
        ViTConfig,
        ViTImageProcessor,
    )

    torch.manual_seed(5)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        ViTConfig(**_vision()), BertConfig(**_text()), projection_dim=20
    )
    VisionTextDualEncoderModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    tokenizer(folder)
    return folder


def sentences(folder: Path, *, width: int = 32, limit: int | None = 8) -> Path:
    """Save a BertModel, with or without sentence-transformers' file for its length limit."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(6)
    BertModel(BertConfig(**{**_text(), "hidden_size": width})).save_pretrained(folder)
    tokenizer(folder, limit=512)
    if limit is not None:
        stated = {"max_seq_length": limit, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(stated))
    return folder


def offset_sentences(folder: Path) -> Path:
    """Save a RobertaModel, whose positions begin behind the index of its padding: 12 make 11."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(7)
    RobertaModel(RobertaConfig(**_text())).save_pretrained(folder)
    tokenizer(folder, limit=512)
    return folder


FAMILIES = {"clip": clip, "siglip": siglip, "two_towers": two_towers}


def _text() -> dict[str, Any]:
    return {
        "vocab_size": len(WORDS) + 4,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }


def _vision() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
    }


def tokenizer(folder: Path, *, limit: int = 12) -> None:
    """Save a tokenizer of whole words that knows those above."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ("<pad>", "<unk>", "<bos>", "<eos>")
    words = {word: n for n, word in enumerate((*special, *WORDS))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=limit,
    ).save_pretrained(folder)
