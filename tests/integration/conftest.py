"""Fixtures of the integration tests: a queue on Redis, and an index on Weaviate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.weaviate_index import WeaviateIndex, parse
from core.matching.policy import Policy
from tests.backends import servers
from tests.doubles.line_worker import Pit, pit

LEASE_SECONDS = 15.0
"""As shipped: no job is taken from a worker of a machine that is busy with something else."""


@pytest.fixture
def dug(
    tmp_path: Path,
    redis_server: servers.Redis | servers.Given,
) -> Iterator[Pit]:
    """Yield a pit over the shared Redis, in batches of 8; a test of time digs its own."""
    with pit(tmp_path, redis_server.url, lease_seconds=LEASE_SECONDS) as made:
        yield made


@pytest.fixture
def opens(
    weaviate_server: servers.Weaviate | servers.Given,
) -> Iterator[Callable[..., WeaviateIndex]]:
    """Yield a function that opens the same empty index on a server; drop its data at the end."""
    found: list[WeaviateIndex] = []
    prefix = f"T{uuid4().hex[:8]}"

    def open_index(**options: float) -> WeaviateIndex:
        index = WeaviateIndex(
            parse(weaviate_server.url),
            Policy(visual_floor=0.25, visual_top=5),
            key=weaviate_server.key or "",
            prefix=prefix,
            **options,  # type: ignore[arg-type]  # numbers
        )
        found.append(index)
        return index

    yield open_index
    found[0].drop()
    for index in found:
        index.close()
