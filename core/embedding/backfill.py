"""Filling a space: vectors of what was settled without one, made from what is stored."""

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
from core.keys import is_caption
from core.ports import Embedder, Index, TextEmbedder
from core.records import Embedded, Job, State, caption
from core.storage.picture_store import PictureStore, StoredVector
from core.types import ReportProgress

BATCH = 64
"""Records of one entry of the log."""

logger = logging.getLogger(__name__)


class Backfill:
    """Finds what lacks a vector, embeds it and says so in the log; whatever is cut off goes on."""

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
        """Records that could have a vector in this space and have none, as the index has it."""
        return sum(1 for _ in lacking(self._index, tenant, space_id))

    def run(self, tenant: str, embedder: TextEmbedder, told: ReportProgress) -> tuple[int, int]:
        """Embed what lacks a vector: how many were made, and how many could not be.

        A visual one is made of the stored preview, one of a caption of what was said last. `told`
        hears how many are done and how many there are. Raise EmbedderUnavailableError,
        StoreUnavailableError, IndexUnavailableError; what was made until then stays.
        """
        space_id = embedder.space.space_id
        make = (
            partial(self._seen, tenant, embedder)
            if isinstance(embedder, Embedder) and not is_caption(space_id)
            else partial(self._said, tenant, embedder)
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

    def _seen(self, tenant: str, embedder: Embedder, states: Sequence[State]) -> list[StoredVector]:
        images: dict[str, Image.Image] = {}
        for state in states:
            try:
                pixels = decode_preview(self._shelf.preview(tenant, state.image_id))
            except MissingError:  # deleted or purged this very moment
                continue
            except CorruptError as error:
                about = {"tenant": tenant, "image_id": state.image_id}
                logger.error("a spoilt preview: %s", error, extra=about)  # noqa: TRY400  in words
                continue
            images[state.image_id] = Image.fromarray(pixels)
        if not images:
            return []
        matrix = embedder.embed_images(list(images.values()))
        space_id = embedder.space.space_id
        return [
            StoredVector(one, space_id, None, row) for one, row in zip(images, matrix, strict=True)
        ]

    def _said(
        self, tenant: str, embedder: TextEmbedder, states: Sequence[State]
    ) -> list[StoredVector]:
        said = [
            (state, text)
            for state in states
            if (text := caption(self._shelf.fields(tenant, state.image_id, state.fields)))
        ]
        if not said:
            return []
        matrix = embedder.embed_texts([text for _, text in said])
        space_id = embedder.space.space_id
        return [
            StoredVector(state.image_id, space_id, state.fields, row)
            for (state, _), row in zip(said, matrix, strict=True)
        ]

    def _claim(self, tenant: str, made: Sequence[StoredVector]) -> Claim:
        """An operation of its own: nothing lies pending, for what is not settled is found again."""
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
