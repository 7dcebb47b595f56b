"""What of a service the prompts are made of, connected."""

from __future__ import annotations

from typing import Protocol

from core.calibration.store import CalibrationStore
from core.imaging.previews import Previews
from core.ingest.check import Checks
from core.ports import Index
from core.queries.records import RecordReader
from core.queries.snapshot import Snapshots
from core.search.searcher import Embedders, Searcher
from core.storage.signed_urls import URLSigner
from rag.prompt_builder import PromptBuilder
from rag.retriever import Retriever
from rag.tools import RagTools


class RagParts(Protocol):
    """A service, as far as it is needed here."""

    @property
    def index(self) -> Index:
        """The projection of the log."""

    @property
    def snapshots(self) -> Snapshots:
        """Index and tail of the log, put together."""

    @property
    def reader(self) -> RecordReader:
        """Records as of now."""

    @property
    def searcher(self) -> Searcher:
        """Search as of now."""

    @property
    def models(self) -> Embedders:
        """Which embedder asks a tenant's active space."""

    @property
    def calibrations(self) -> CalibrationStore:
        """What was measured of a tenant's spaces."""

    @property
    def previews(self) -> Previews:
        """Previews of any size."""

    @property
    def signer(self) -> URLSigner:
        """Addresses of pictures."""

    @property
    def checker(self) -> Checks:
        """Verdicts on pictures that are not stored."""


def context(parts: RagParts) -> PromptBuilder:
    """Builds prompts."""
    retriever = Retriever(parts.searcher, parts.index, parts.models, parts.calibrations)
    return PromptBuilder(retriever, parts.snapshots, parts.previews, parts.signer)


def tools(parts: RagParts) -> RagTools:
    """The functions that a model may call."""
    return RagTools(parts.searcher, parts.reader, parts.checker)
