"""A service for third parties' clients, and the document that they are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.embedding.packaged_weights import MINILM
from tests.e2e.service import Service, serving

KEY = "key-of-the-doors-tests"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start `seenit up` with a caption model and one key."""
    data = tmp_path_factory.mktemp("doors") / "data"
    keys = f"{KEY}:default:admin"
    with serving(data, SEENIT_CAPTION_MODEL=MINILM, SEENIT_API_KEYS=keys) as service:
        yield service


@pytest.fixture(scope="session")
def document(running: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save /schema/openapi.json of the running service."""
    saved = tmp_path_factory.mktemp("document") / "openapi.json"
    saved.write_bytes(running.client.get("/schema/openapi.json").raise_for_status().content)
    return saved
