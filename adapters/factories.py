"""Factories of the parts that settings name: an index by its URL, a model by its source."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from adapters.embedding.caption import CaptionEmbedder
from adapters.embedding.none import AbsentEmbedder
from adapters.embedding.visual import VisualEmbedder
from adapters.settings import Settings
from adapters.sqlite_index import SQLiteIndex
from core.errors import SettingsError
from core.index_port import ServiceIndex
from core.matching.policy import POLICY
from core.ports import Embedder, TextEmbedder
from core.types import MODEL_OFF

if TYPE_CHECKING:
    from adapters.egress.client import EgressClient

NEEDED = ("torch", "transformers")
"""Packages that models need; the extra `gpu` installs them."""

logger = logging.getLogger(__name__)


def shared(settings: Settings) -> bool:
    """Return whether several processes share the broker, and thereby the work."""
    return urlsplit(settings.broker_url).scheme in ("redis", "rediss")


def lacking() -> str:
    """Return which packages models lack and how to install them; empty if none is missing."""
    names = [name for name in NEEDED if find_spec(name) is None]
    if not names:
        return ""
    return (
        f"{' and '.join(names)} not installed: `make setup` does it, or pip install '.[gpu]' "
        "in the folder of Seenit"
    )


def index_path(settings: Settings) -> Path:
    """Return the file of the SQLite index. Raise SettingsError if the URL names another index."""
    parts = urlsplit(settings.index_url)
    if parts.scheme != "sqlite":
        raise SettingsError(
            f"SEENIT_INDEX_URL: only an index at sqlite:// is a file, not at {parts.scheme}://"
        )
    return Path(unquote(parts.path))


def open_index(settings: Settings) -> ServiceIndex:
    """Open the index that the URL names, without connecting to a server. Raise SettingsError."""
    scheme = urlsplit(settings.index_url).scheme
    if scheme != "sqlite":
        # The import takes a second.
        from adapters.weaviate_index import WeaviateIndex, parse  # noqa: PLC0415

        return WeaviateIndex(
            parse(settings.index_url),
            POLICY,
            key=settings.index_key.get_secret_value(),
            secure=scheme == "weaviates",
            prefix=settings.index_prefix,
            consistency=settings.index_consistency,
            replication=settings.index_replication,
            features=settings.features,
            idle_hours=settings.index_idle_hours,
        )
    path = index_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return SQLiteIndex(path, POLICY, durable=settings.durable, features=settings.features)


def open_egress(settings: Settings) -> EgressClient:
    """Return the client for addresses that callers name. Its connections begin with a request."""
    from adapters.egress.client import EgressClient  # noqa: PLC0415 - httpcore loads slowly

    return EgressClient(settings.egress_allow, settings.egress_proxy)


class EmbedderFactory:
    """Embedders by the names of their models, run in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def visual(self, source: str) -> Embedder:
        """Return the dual encoder of a hub id or a folder; an absent one for "none"."""
        if source == "none":
            return AbsentEmbedder(MODEL_OFF["visual"])
        if reason := lacking():
            return _absent("visual", reason)
        return VisualEmbedder(
            source,
            device=self._settings.device,
            dtype=self._settings.dtype,
            similar_at=self._settings.similar_at,
        )

    def caption(self, source: str) -> TextEmbedder:
        """Return the sentence encoder of a hub id or a folder; an absent one for "none"."""
        if source == "none":
            return AbsentEmbedder(MODEL_OFF["caption"])
        if reason := lacking():
            return _absent("caption", reason)
        return CaptionEmbedder(source, device=self._settings.device, dtype=self._settings.dtype)


def _absent(kind: str, reason: str) -> AbsentEmbedder:
    logger.warning("NO %s MODEL: %s", kind.upper(), reason)
    return AbsentEmbedder(reason)
