"""Anchors that the index does not hold yet, measured one by one against a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.types import Hit, Query

Measure = Callable[[Query, Query], Hit | None]
"""(query, anchor): what each source measured between the two, None where none finds it."""


class PendingAnchors:
    """A few anchors in memory."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._anchors: dict[str, Query] = {}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._anchors

    def add(self, anchor: Query) -> None:
        """Hold it; flat and tiny pictures are no candidates for anything."""
        self._anchors[anchor.image_id] = anchor

    def near(self, query: Query) -> list[Hit]:
        """Every anchor that some source finds near the query, itself left out."""
        return self.measured(query, self._anchors.values())

    def measured(self, query: Query, anchors: Iterable[Query]) -> list[Hit]:
        """The hits among these."""
        hits = (
            self._measure(query, anchor)
            for anchor in anchors
            if anchor.image_id != query.image_id and anchor.fingerprint.comparable
        )
        return [hit for hit in hits if hit is not None]
