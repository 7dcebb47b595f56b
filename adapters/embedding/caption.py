"""Embedder of texts in a space of their own, by any sentence encoder of transformers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.embedding import sample_images
from adapters.embedding.base import LazyModel, read, shape
from adapters.embedding.model_files import lacks
from adapters.embedding.space_id import digest, space_id
from core import records
from core.types import Matrix, Space

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

SIMILAR_AT = 1.0
"""Threshold that every space has; no verdict reads that of a caption space, because two sellers of
two cars write the same title."""
BATCHES = {"cpu": 8, "mps": 32, "cuda": 128}
"""Texts in one forward pass; on a CPU no more, so that a waiting query gets its turn."""
TEXT_LIMIT = 512
"""Tokens of a model without a limit of its own, as in BERT."""
BLANK = "."
"""Replacement for a text without a token, if the model adds none around it: a mean needs one."""
TOKENIZER_FILES = ("*token*.json", "vocab*", "merges.txt", "*.model")


class CaptionEmbedder(LazyModel["SentenceEncoder"]):
    """Port TextEmbedder over a folder, a package or a hub id; created at once, see `load`."""

    lack = (
        "NO CAPTION MODEL: %s. Search by the words of titles, descriptions and tags goes on "
        "without it; search by what they mean does not. `seenit doctor` says how to get one."
    )
    batches = BATCHES

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        """Embed as (n, d) float32 of unit length, in input order, cut at the model's limit.

        Raise EmbedderUnavailableError.
        """
        return self._embed(texts, SentenceEncoder.tokens, urgent=urgent)

    def _open(self, folder: Path) -> SentenceEncoder:
        return SentenceEncoder(folder, self._device)

    def _trial(self) -> list[dict[str, torch.Tensor]]:
        return [self._network.tokens((*sample_images.TEXTS, ""))]

    def _describe(self, folder: Path, tried: Sequence[Matrix]) -> Space:
        dimensions = tried[0].shape[1]
        tokenizer = sorted({path for kind in TOKENIZER_FILES for path in folder.glob(kind)})
        named = space_id(
            "caption",
            **shape(folder),
            tokenizer=[digest(path) for path in tokenizer],
            pooling="mean",
            template=records.CAPTION_TEMPLATE,
            limit=self._network.limit,
            lower=self._network.lower,
            dimensions=dimensions,
        )
        return Space(
            space_id=named,
            kind="caption",
            model=self._title(folder),
            dimensions=dimensions,
            similar_at=SIMILAR_AT,
        )

    def _dtype(self) -> torch.dtype:
        """Return float32 unless the setting names another type.

        bfloat16 moves cosines of all-MiniLM-L6-v2 by up to 0.003 (measured on twelve captions),
        which is visible where people compare them with a threshold; and the model is small.
        """
        import torch  # noqa: PLC0415 - seconds to import

        return torch.float32 if self._wanted[1] == "auto" else super()._dtype()

    def _running(self) -> dict[str, str]:
        """Return device, dtype and the limit in tokens."""
        return {**super()._running(), "tokens": str(self._network.limit)}


class SentenceEncoder:
    """Tokenizer and network of one sentence encoder; complete after `SentenceEncoder(...)`."""

    def __init__(self, folder: Path, device: str) -> None:
        import transformers as vendor  # noqa: PLC0415 - seconds to import

        transformers: Any = vendor  # its functions have no types
        transformers.utils.logging.disable_progress_bar()
        own = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **own)
        self._model: Any
        self._model, told = transformers.AutoModel.from_pretrained(
            folder, dtype="float32", output_loading_info=True, **own
        )
        # Of a masked language model the pooler is missing; a mean over tokens does not use it.
        missing = [name for name in told["missing_keys"] if "pooler." not in name]
        if lack := lacks(missing):
            raise ValueError(lack)
        self._model.eval().requires_grad_(requires_grad=False).to(device)
        self._device = device
        sentences = read(folder / "sentence_bert_config.json")
        self.lower = bool(sentences.get("do_lower_case"))
        """Whether texts are converted to lower case before the tokenizer."""
        self.limit = _limit(self._model, self._tokenizer, sentences.get("max_seq_length"))
        """Limit in tokens; a longer text is cut."""
        pooling = read(folder / "1_Pooling" / "config.json")
        if not pooling.get("pooling_mode_mean_tokens", True):
            logger.warning("model_pooling_unsupported", extra={"model": folder.name})

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights."""
        dtype: torch.dtype = self._model.dtype
        return dtype

    def use(self, dtype: torch.dtype) -> None:
        """Convert the weights to this type."""
        self._model.to(dtype)

    def tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Convert texts to the model's arguments, on the CPU, cut at its limit."""
        inputs = self._tokenize(texts)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if 0 in lengths:
            return self._tokenize(
                [text if length else BLANK for text, length in zip(texts, lengths, strict=True)]
            )
        return inputs

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, d) on the device: the mean over tokens without padding, in float32."""
        import torch  # noqa: PLC0415 - likewise

        with torch.inference_mode():
            ready = {
                name: value.to(self._device, non_blocking=True) for name, value in inputs.items()
            }
            states = self._model(**ready).last_hidden_state.float()
            mask = ready["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled: torch.Tensor = (states * mask).sum(dim=1) / mask.sum(dim=1)
            return pooled

    def _tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        return dict(
            self._tokenizer(
                [text.lower() for text in texts] if self.lower else list(texts),
                padding="longest",
                truncation=True,
                max_length=self.limit,
                return_tensors="pt",
            )
        )


def _limit(model: Any, tokenizer: Any, stated: int | None) -> int:  # noqa: ANN401 - vendor's classes
    """Return the limit in tokens by positions, tokenizer and, if any, the model's own file."""
    places = int(getattr(model.config, "max_position_embeddings", TEXT_LIMIT))
    for name, part in model.named_modules():
        # RoBERTa and MPNet count positions from behind the padding's own index.
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            places -= part.padding_idx + 1
    return min(places, int(tokenizer.model_max_length), stated or places)
