"""What of a service the prompts are made of, connected."""

from __future__ import annotations

from typing import Protocol

from core.imaging.previews import Previews
from core.ingest.check import Checks
from core.ports import Index
from core.queries.records import Reader
from core.search.searcher import Embedders, Searcher
from core.storage.signed_urls import Signer
from rag.prompt_builder import Context
from rag.retriever import Retriever
from rag.thresholds import Measured
from rag.tools import Tools


class Parts(Protocol):
    """A service, as far as it is needed here."""

    @property
    def index(self) -> Index:
        """The projection of the log."""

    @property
    def reader(self) -> Reader:
        """Records as of now."""

    @property
    def searcher(self) -> Searcher:
        """Search as of now."""

    @property
    def models(self) -> Embedders:
        """Which embedder asks a tenant's active space."""

    @property
    def calibrations(self) -> Measured:
        """What was measured of a tenant's spaces."""

    @property
    def previews(self) -> Previews:
        """Previews of any size."""

    @property
    def signer(self) -> Signer:
        """Addresses of pictures."""

    @property
    def checker(self) -> Checks:
        """Verdicts on pictures that are not stored."""


def context(parts: Parts) -> Context:
    """Builds prompts."""
    retriever = Retriever(parts.searcher, parts.index, parts.models, parts.calibrations)
    return Context(retriever, parts.reader, parts.previews, parts.signer)


def tools(parts: Parts) -> Tools:
    """The functions that a model may call."""
    return Tools(parts.searcher, parts.reader, parts.checker)
