"""The pipeline from bytes to the data of a verdict: decode, fingerprint, embed."""

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
from core.fingerprint.visual_words import FEATURES_VERSION
from core.imaging.decoding import NEWEST_PIXELS_VERSION
from core.ports import Decoder
from core.records import Fields, caption
from core.types import Absent, Canonical, Fingerprint, Query, Vector

logger = logging.getLogger(__name__)

PIPELINE_VERSION = f"{NEWEST_PIXELS_VERSION}.{FEATURES_VERSION}"
"""Newest versions of the pixels and of their features, stored in each log entry."""


class FingerprintResult(msgspec.Struct, frozen=True, kw_only=True):
    """The fingerprint, preview and vectors of one picture."""

    fingerprint: Fingerprint
    preview: bytes
    """The preview as JPEG."""
    large: bytes = b""
    """The large preview of a drawn picture, as WebP."""
    vectors: dict[str, Vector]
    """Vectors by visual space_id."""
    active: str | None
    """The active space among them, in which candidates are searched."""
    missing: tuple[Absent, ...]

    def query(self, image_id: str) -> Query:
        """Return the query for the picture's candidates."""
        return Query(
            image_id=image_id,
            fingerprint=self.fingerprint,
            vector=self.vectors.get(self.active or ""),
            space_id=self.active,
        )


class Digests(msgspec.Struct, frozen=True):
    """Digests of the uploaded bytes in hex, computed while they streamed in."""

    sha256: str
    md5: str


def digests(data: bytes) -> Digests:
    """Return the digests of bytes in memory."""
    return Digests(
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )


class FingerprintPipeline:
    """The pipeline from bytes to fingerprints and vectors; knows no store and no queue."""

    def __init__(self, decoder: Decoder, models: ModelRegistry) -> None:
        self._decoder = decoder
        self._models = models

    def decode(
        self, items: Sequence[bytes], digests: Sequence[Digests], *, urgent: bool = False
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """Decode and fingerprint in order, an error for each broken one; urgent calls go first."""
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

        Without the active model each result lists `visual` as missing. Urgent calls go first.
        """
        pairs = list(pairs)
        images = [Image.fromarray(canonical.preview) for canonical, _ in pairs]
        vectors: list[dict[str, Vector]] = [{} for _ in pairs]
        active: str | None = None
        missing: tuple[Absent, ...] = ()
        for n, embedder in enumerate(self._models.visuals(tenant) if pairs else ()):
            try:
                matrix = embedder.embed_images(images, urgent=urgent)
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
                large=canonical.large,
                vectors=found,
                active=active,
                missing=missing,
            )
            for (canonical, fingerprint), found in zip(pairs, vectors, strict=True)
        ]

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """Return the active visual space_id and a picture's (d,) vector, without storing it.

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
        """Return vectors by caption space, in order; none without a caption or a model."""
        texts = [caption(one) for one in fields]
        filled = [n for n, text in enumerate(texts) if text]
        vectors: list[dict[str, Vector]] = [{} for _ in fields]
        for embedder in self._models.captions(tenant) if filled else ():
            if embedder.absent is not None:
                continue
            try:
                matrix = embedder.embed_texts([texts[n] for n in filled])
            except EmbedderUnavailableError as error:
                logger.warning(
                    "captions_not_embedded", extra={"tenant": tenant, "reason": error.detail}
                )
                continue
            for n, row in zip(filled, matrix, strict=True):
                vectors[n][embedder.space.space_id] = row
        return vectors
