"""From bytes to everything a verdict needs to know of a picture: decode, fingerprint, embed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from PIL import Image

from core.decoding import PIXELS_VERSION
from core.errors import EmbedderUnavailableError, SeenitError
from core.fingerprint import encode_preview
from core.ports import Decoder, Embedder
from core.types import Absent, Canonical, Fingerprint, Query, Vector

PIPELINE_VERSION = f"{PIXELS_VERSION}.1"
"""Of the pixels, and of what is computed from them; every entry of the log carries it."""


class Perceived(msgspec.Struct, frozen=True, kw_only=True):
    """One picture understood."""

    fingerprint: Fingerprint
    preview: bytes
    """JPEG."""
    vectors: dict[str, Vector]
    missing: tuple[Absent, ...]

    def query(self, image_id: str) -> Query:
        """As it asks for candidates."""
        space_id, vector = next(iter(self.vectors.items()), (None, None))
        return Query(
            image_id=image_id, fingerprint=self.fingerprint, vector=vector, space_id=space_id
        )


class Digests(msgspec.Struct, frozen=True):
    """Of the uploaded bytes, made while they streamed in."""

    sha256: str
    md5: str


class Perceiver:
    """Turns bytes into fingerprints and vectors; knows no store and no queue."""

    def __init__(self, decoder: Decoder, visual: Embedder) -> None:
        self._decoder = decoder
        self._visual = visual

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

    def embed(self, pairs: Iterable[tuple[Canonical, Fingerprint]]) -> list[Perceived]:
        """In order; without a model each says that `visual` is missing."""
        pairs = list(pairs)
        vectors, missing = self._vectors([canonical for canonical, _ in pairs])
        return [
            Perceived(
                fingerprint=fingerprint,
                preview=encode_preview(canonical.preview),
                vectors=found,
                missing=missing,
            )
            for (canonical, fingerprint), found in zip(pairs, vectors, strict=True)
        ]

    def _vectors(
        self, pictures: Sequence[Canonical]
    ) -> tuple[list[dict[str, Vector]], tuple[Absent, ...]]:
        reason = self._visual.absent
        if reason is None and pictures:
            try:
                space = self._visual.space.space_id
                matrix = self._visual.embed_images(
                    [Image.fromarray(picture.preview) for picture in pictures]
                )
            except EmbedderUnavailableError as error:
                reason = error.detail
            else:
                return [{space: row} for row in matrix], ()
        absent = () if reason is None else (Absent("visual", reason),)
        return [{} for _ in pictures], absent
