"""Private library for one evaluation: pictures with texts, searched in this process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.wiring import Services
from core.calibration.thresholds import Calibration
from core.matching.policy import POLICY
from core.ports import TextEmbedder
from core.records import Fields
from core.search.request import Mode, SearchRequest
from core.types import Matrix, SpaceKind, Vector
from evaluation.instance import StoredPicture
from evaluation.scratch_service import TENANT, ScratchService, services
from rag.retriever import Retriever


class ScratchLibrary(ScratchService):
    """Service for retrieval: search, and the pictures for a prompt."""

    def __init__(self, made: Services, folder: Path) -> None:
        super().__init__(made, POLICY, folder)
        self._retriever = Retriever(made.searcher, made.index, made.models, made.calibrations)

    def named(self, kind: SpaceKind) -> str:
        """Return the model of a space, or the reason why there is none."""
        embedder = self._embedder(kind)
        return embedder.absent or embedder.space.model

    def embeds(self, kind: SpaceKind) -> bool:
        """Return whether the service has that model."""
        return self._embedder(kind).absent is None

    def store(self, items: Sequence[tuple[bytes, str]]) -> list[StoredPicture]:
        """Ingest at most 64 pictures, each with its description."""
        accepted = [
            self._services.acceptor.uploads(
                TENANT, [self._upload(number, data)], Fields(description=description or None)
            ).items[0]
            for number, (data, description) in enumerate(items)
        ]
        return self._settled(accepted)

    def calibrate(self, among: Collection[str] | None) -> dict[SpaceKind, Calibration]:
        """Calibrate on questions of these pictures; return the spaces that could be measured."""
        return self._services.tuner.calibrate(TENANT, among=among).made

    def search(self, text: str, mode: Mode, limit: int) -> list[str]:
        """Search by text; return image ids, best first."""
        results = self._services.searcher.search(
            TENANT, SearchRequest(text=text, mode=mode, limit=limit)
        )
        return [hit.seen.record.state.image_id for hit in results.hits]

    def answers(self, text: str) -> list[str]:
        """Return the pictures for a prompt, best first; none if nothing is near enough."""
        retrieved = self._retriever.retrieve(TENANT, text=text)
        return [one.seen.record.state.image_id for one in retrieved.items]

    def texts(self, kind: SpaceKind, texts: Sequence[str]) -> Matrix:
        """Embed texts as (n, d), in order."""
        return self._embedder(kind).embed_texts(texts)

    def vectors(self, kind: SpaceKind, ids: Sequence[str]) -> list[Vector | None]:
        """Return the stored vectors, in order."""
        space_id = self._embedder(kind).space.space_id
        return self._services.index.read_vectors(TENANT, space_id, ids)

    def _embedder(self, kind: SpaceKind) -> TextEmbedder:
        models = self._services.models
        return models.visual(TENANT) if kind == "visual" else models.caption(TENANT)


@contextmanager
def album(model: str | None, caption_model: str | None) -> Iterator[ScratchLibrary]:
    """Open an empty library; everything it wrote is removed at the end."""
    with services(model, caption_model) as (made, uploads):
        made.models.load()
        yield ScratchLibrary(made, uploads)
