"""Construction of the prompt builder and the tools from a service's parts."""

from __future__ import annotations

from typing import Protocol

from core.calibration.store import CalibrationStore
from core.imaging.previews import Previews
from core.index_port import Index
from core.ingest.check import Checks
from core.queries.records import RecordReader
from core.queries.snapshot import Snapshots
from core.search.searcher import Embedders, Searcher
from core.storage.signed_urls import URLSigner
from rag.prompt_builder import PromptBuilder
from rag.retriever import Retriever
from rag.tools import RagTools


class RagParts(Protocol):
    """The parts of a service that rag needs."""

    @property
    def index(self) -> Index:
        """Return the projection of the log."""

    @property
    def snapshots(self) -> Snapshots:
        """Return the source of snapshots: the index plus the tail of the log."""

    @property
    def reader(self) -> RecordReader:
        """Return the reader of current records."""

    @property
    def searcher(self) -> Searcher:
        """Return the searcher over current records."""

    @property
    def models(self) -> Embedders:
        """Return the embedders of each tenant's active spaces."""

    @property
    def calibrations(self) -> CalibrationStore:
        """Return the store of calibrations of each tenant's spaces."""

    @property
    def previews(self) -> Previews:
        """Return the maker of previews of any size."""

    @property
    def signer(self) -> URLSigner:
        """Return the signer of pictures' URLs."""

    @property
    def checker(self) -> Checks:
        """Return the checker of pictures that are not stored."""


def context(parts: RagParts) -> PromptBuilder:
    """Return the prompt builder of a service."""
    retriever = Retriever(parts.searcher, parts.index, parts.models, parts.calibrations)
    return PromptBuilder(retriever, parts.snapshots, parts.previews, parts.signer)


def tools(parts: RagParts) -> RagTools:
    """Return the functions that a model may call."""
    return RagTools(parts.searcher, parts.reader, parts.checker)
