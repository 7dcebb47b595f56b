"""Backfill of a space: vectors for records settled without one, from stored data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from PIL import Image

from core import clock
from core.errors import CorruptError, MissingError
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.event_log.settle_reads import lacking
from core.fingerprint.fingerprint import decode_preview
from core.index_port import Index
from core.keys import is_caption
from core.ports import Embedder, TextEmbedder
from core.records import Embedded, Job, State, caption
from core.storage.picture_store import PictureStore, StoredVector
from core.types import ReportProgress

BATCH = 64
"""Records of one entry of the log, embedded in one batch."""

logger = logging.getLogger(__name__)


class Backfill:
    """A backfill that embeds records without a vector and logs each batch; it is resumable."""

    def __init__(
        self,
        *,
        index: Index,
        shelf: PictureStore,
        ledger: Ledger,
        projector: Projector,
        new_id: Callable[[], str],
    ) -> None:
        self._index = index
        self._shelf = shelf
        self._ledger = ledger
        self._projector = projector
        self._new_id = new_id

    def lacking(self, tenant: str, space_id: str) -> int:
        """Count the records of the index that could have a vector in a space and have none."""
        return sum(1 for _ in lacking(self._index, tenant, space_id))

    def run(self, tenant: str, embedder: TextEmbedder, told: ReportProgress) -> tuple[int, int]:
        """Embed records without a vector; return how many were embedded and how many failed.

        A visual vector is computed from the stored preview, a caption's from the newest fields.
        `told` is called with the records done and their total. Raise EmbedderUnavailableError,
        StoreUnavailableError, IndexUnavailableError; batches done by then stay.
        """
        space_id = embedder.space.space_id
        make = (
            partial(self._embed_previews, tenant, embedder)
            if isinstance(embedder, Embedder) and not is_caption(space_id)
            else partial(self._embed_captions, tenant, embedder)
        )
        self._projector.advance(tenant)
        total = self.lacking(tenant, space_id)
        done = failed = 0
        told(0, total)
        for states in _parts(lacking(self._index, tenant, space_id), BATCH):
            made = make(states)
            if made:
                self._shelf.write_vectors(tenant, made)
                self._ledger.settle(tenant, [self._claim(tenant, made)])
            done, failed = done + len(made), failed + len(states) - len(made)
            told(done + failed, max(total, done + failed))
        return done, failed

    def _embed_previews(
        self, tenant: str, embedder: Embedder, states: Sequence[State]
    ) -> list[StoredVector]:
        images: list[tuple[State, Image.Image]] = []
        for state in states:
            try:
                pixels = decode_preview(self._shelf.preview(tenant, state.image_id, state.remade))
            except MissingError:  # deleted or purged meanwhile
                continue
            except CorruptError as error:
                about = {"tenant": tenant, "image_id": state.image_id}
                about["reason"] = str(error)
                logger.error("preview_damaged", extra=about)  # noqa: TRY400  no traceback needed
                continue
            images.append((state, Image.fromarray(pixels)))
        if not images:
            return []
        matrix = embedder.embed_images([image for _, image in images])
        space_id = embedder.space.space_id
        return [
            StoredVector(state.image_id, space_id, state.source_of(space_id), row)
            for (state, _), row in zip(images, matrix, strict=True)
        ]

    def _embed_captions(
        self, tenant: str, embedder: TextEmbedder, states: Sequence[State]
    ) -> list[StoredVector]:
        captions = [
            (state, text)
            for state in states
            if (text := caption(self._shelf.fields(tenant, state.image_id, state.fields)))
        ]
        if not captions:
            return []
        matrix = embedder.embed_texts([text for _, text in captions])
        space_id = embedder.space.space_id
        return [
            StoredVector(state.image_id, space_id, state.fields, row)
            for (state, _), row in zip(captions, matrix, strict=True)
        ]

    def _claim(self, tenant: str, made: Sequence[StoredVector]) -> Claim:
        """Return the claim of an `embed` job; it is not pending, as a rerun finds the rest."""
        job = Job(
            job_id=self._new_id(),
            tenant=tenant,
            image_id="",
            kind="embed",
            accepted_at=clock.now(),
        )
        return Claim(
            job=job,
            embedded=tuple(Embedded(one.image_id, one.space_id, one.said) for one in made),
        )


def _parts(states: Iterator[State], size: int) -> Iterator[list[State]]:
    part: list[State] = []
    for state in states:
        part.append(state)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
