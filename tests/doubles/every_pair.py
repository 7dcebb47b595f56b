"""A pool of anchors that measures all of them, which a quicker one must agree with."""

from __future__ import annotations

from core.event_log.batch_candidates import Measure
from core.types import Hit, Query


class EveryPair:
    """Anchors of one call, each measured against each query."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._anchors: dict[str, Query] = {}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._anchors

    def add(self, anchor: Query) -> None:
        """Hold one more anchor."""
        self._anchors[anchor.image_id] = anchor

    def near(self, query: Query) -> list[Hit]:
        """Return every anchor that some source finds near the query, itself left out."""
        hits = (
            self._measure(query, anchor)
            for anchor in self._anchors.values()
            if anchor.image_id != query.image_id
        )
        return [hit for hit in hits if hit is not None]
