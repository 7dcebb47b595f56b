"""From one machine to Weaviate and back: the log carries everything there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.servers import Weaviate
from tests.e2e.service import serving
from tests.e2e.test_rebuild import answers, fill, seenit
from tests.e2e.test_serial import mixture
from tests.samples.pictures import jpeg, photo


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_a_reindex_moves_a_filled_instance_there_and_back(
    tmp_path: Path, weaviate_server: Weaviate
) -> None:
    """Records, jobs, stars, statistics, checks and found words are equal on either index."""
    data = tmp_path / "data"
    probes = [*mixture(12, 9), jpeg(photo(901), 85)]
    there = {"SEENIT_INDEX_URL": weaviate_server.url, "SEENIT_INDEX_PREFIX": "Moving"}
    with serving(data) as service:
        fill(service)
        before = told(service, probes)
    seenit(service, "reindex", **there)
    with serving(data, **there) as moved:
        assert told(moved, probes) == before
    for path in data.glob("index.sqlite*"):
        path.unlink()
    seenit(service, "reindex")
    with serving(data) as service:
        assert told(service, probes) == before


def told(service: Any, probes: list[bytes]) -> dict[str, Any]:  # noqa: ANN401 - a service
    """Return all answers that depend on the index, and the hits of a search by words."""
    found = service.client.post("/v1/search", json={"text": "number 7", "mode": "keyword"})
    hits = found.raise_for_status().json()["hits"]
    return {
        **answers(service, probes),
        "found": sorted(hit["image"]["image_id"] for hit in hits),
    }
