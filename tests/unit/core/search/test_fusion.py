"""Fusion of ranked lists, and hubs put back."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.search.fusion import fuse, without_hubs
from core.search.request import SearchRequest
from core.search.searcher import Searcher
from tests.doubles.small_service import Service
from tests.unit.core.search.stored_pictures import (
    TENANT,
    seen,
    zoo,
)


def test_fusion_sums_weighted_reciprocal_ranks() -> None:
    """By hand: 1/10 + 0.7/12 beats 1/11 + 0.7/11, which beats one list alone."""
    assert fuse([(1.0, ["a", "b", "c"]), (0.7, ["d", "b", "a"])]) == ["a", "b", "c", "d"]
    assert fuse([(1.0, ["a"]), (1.0, ["b"])]) == ["a", "b"]
    assert fuse([]) == []


def test_what_is_near_every_text_falls_behind() -> None:
    """A picture near the whole bank loses against one near the question alone."""
    bank = np.eye(4, dtype=np.float32)[:2]
    hub = np.array([1, 1, 0, 0], np.float32) / np.sqrt(2)
    plain = np.array([0, 0, 1, 0], np.float32)
    assert without_hubs([0.5, 0.4], [hub, plain], bank) == [1, 0]
    assert without_hubs([0.5, 0.4], [None, plain], bank) == [0, 1]
    assert without_hubs([0.5, 0.4], [hub, plain], bank[:0]) == [0, 1]


def test_hubs_are_mended_in_hybrid_alone(service: Service) -> None:
    """The hub vectors are read by tenant and space; a space by name stays as it is."""
    zoo(service)
    asked: list[tuple[str, str]] = []
    bank = np.stack([seen(service, "red")] * 3)

    def hubs(tenant: str, space_id: str) -> np.ndarray[Any, Any] | None:
        asked.append((tenant, space_id))
        return bank if space_id == service.visual.space.space_id else None

    searcher = Searcher(
        service.snapshots,
        service.models,
        service.searcher._sight,
        hubs=hubs,
    )
    plain = searcher.search(TENANT, SearchRequest(text="red orange", mode="visual", limit=2)).hits
    assert asked == []
    mended = searcher.search(TENANT, SearchRequest(text="red orange")).hits
    assert asked == [(TENANT, one.space.space_id) for one in (service.visual, service.caption)]
    assert {hit.similarities["visual"] for hit in plain} <= {
        hit.similarities.get("visual", 0.0) for hit in mended
    }
