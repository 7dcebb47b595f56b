"""From bytes to everything a verdict needs to know of a picture: decode, fingerprint, embed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from PIL import Image

from core.embedding.registry import ModelRegistry
from core.errors import EmbedderUnavailableError, SeenitError
from core.fingerprint.fingerprint import encode_preview
from core.imaging.decoding import PIXELS_VERSION
from core.ports import Decoder, Embedder
from core.records import Fields, caption
from core.types import Absent, Canonical, Fingerprint, Matrix, Query, Vector

logger = logging.getLogger(__name__)

PIPELINE_VERSION = f"{PIXELS_VERSION}.1"
"""Of the pixels, and of what is computed from them; every entry of the log carries it."""


class FingerprintResult(msgspec.Struct, frozen=True, kw_only=True):
    """One picture understood."""

    fingerprint: Fingerprint
    preview: bytes
    """JPEG."""
    vectors: dict[str, Vector]
    """By visual space."""
    active: str | None
    """The space among them that candidates are looked for in."""
    missing: tuple[Absent, ...]

    def query(self, image_id: str) -> Query:
        """As it asks for candidates."""
        return Query(
            image_id=image_id,
            fingerprint=self.fingerprint,
            vector=self.vectors.get(self.active or ""),
            space_id=self.active,
        )


class Digests(msgspec.Struct, frozen=True):
    """Of the uploaded bytes, made while they streamed in."""

    sha256: str
    md5: str


def digests(data: bytes) -> Digests:
    """Of bytes in hand."""
    return Digests(
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )


class FingerprintPipeline:
    """Turns bytes into fingerprints and vectors; knows no store and no queue."""

    def __init__(self, decoder: Decoder, models: ModelRegistry) -> None:
        self._decoder = decoder
        self._models = models

    def decode(
        self, items: Sequence[bytes], digests: Sequence[Digests], *, urgent: bool = False
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """In order; the error that a broken one is. Urgent ones go before all that wait."""
        decoded = self._decoder.fingerprint(items, urgent=urgent)
        return [
            item
            if isinstance(item, SeenitError)
            else (
                item[0],
                msgspec.structs.replace(item[1], sha256=known.sha256, md5=known.md5),
            )
            for item, known in zip(decoded, digests, strict=True)
        ]

    def embed(
        self,
        tenant: str,
        pairs: Iterable[tuple[Canonical, Fingerprint]],
        *,
        urgent: bool = False,
    ) -> list[FingerprintResult]:
        """Embed pictures in every visual space of a tenant; return results in order.

        Without the active model each result says that `visual` is missing. Urgent ones go first.
        """
        pairs = list(pairs)
        images = [Image.fromarray(canonical.preview) for canonical, _ in pairs]
        vectors: list[dict[str, Vector]] = [{} for _ in pairs]
        active: str | None = None
        missing: tuple[Absent, ...] = ()
        for n, embedder in enumerate(self._models.visuals(tenant) if pairs else ()):
            try:
                matrix = _embedded(embedder, images, urgent=urgent)
            except EmbedderUnavailableError as error:
                if n == 0:
                    missing = (Absent.of("visual", error.detail),)
                continue
            space_id = embedder.space.space_id
            for found, row in zip(vectors, matrix, strict=True):
                found[space_id] = row
            if n == 0:
                active = space_id
        return [
            FingerprintResult(
                fingerprint=fingerprint,
                preview=encode_preview(canonical.preview),
                vectors=found,
                active=active,
                missing=missing,
            )
            for (canonical, fingerprint), found in zip(pairs, vectors, strict=True)
        ]

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """The visual vector of a picture that is not stored, and its space; nothing is kept.

        Raise EmbedderUnavailableError, and an InputError for a bad file.
        """
        embedder = self._models.visual(tenant)
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent, field="mode")
        (decoded,) = self.decode([data], [digests(data)], urgent=True)
        if isinstance(decoded, SeenitError):
            raise decoded
        image = Image.fromarray(decoded[0].preview)
        (vector,) = embedder.embed_images([image], urgent=True)
        return embedder.space.space_id, np.asarray(vector, np.float32)

    def captions(self, tenant: str, fields: Sequence[Fields]) -> list[dict[str, Vector]]:
        """Vectors by caption space, in order; none where nothing was said, or without a model."""
        texts = [caption(one) for one in fields]
        said = [n for n, text in enumerate(texts) if text]
        vectors: list[dict[str, Vector]] = [{} for _ in fields]
        for embedder in self._models.captions(tenant) if said else ():
            if embedder.absent is not None:
                continue
            try:
                matrix = embedder.embed_texts([texts[n] for n in said])
            except EmbedderUnavailableError as error:
                logger.warning("captions without vectors: %s", error.detail)
                continue
            for n, row in zip(said, matrix, strict=True):
                vectors[n][embedder.space.space_id] = row
        return vectors


def _embedded(embedder: Embedder, images: Sequence[Image.Image], *, urgent: bool) -> Matrix:
    if embedder.absent is not None:
        raise EmbedderUnavailableError(embedder.absent)
    return embedder.embed_images(images, urgent=urgent)
