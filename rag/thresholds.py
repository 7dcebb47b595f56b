"""Thresholds: the cosine that a picture needs to count as relevant to one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from core.calibration.store import CalibrationStore
from core.calibration.thresholds import CROWD, SHARE, crowd
from core.index_port import Index
from core.search.bands import DEFAULTS
from core.search.execution import RankedList


class Threshold(NamedTuple):
    """The minimum cosine in one space."""

    needed: float
    kept: float
    """Share of the answers that the calibration kept, 0 to 1; 0 if it was not calibrated."""


class Thresholds(NamedTuple):
    """The thresholds of one question, by kind of space.

    If both spaces are calibrated, the one that kept more answers decides about every picture that
    has a vector in it, and the other one about the rest: two chances to pass would be two chances
    to pass wrongly. In a space without calibration a picture has to be "related"
    (`core/search/bands.py`).
    """

    needed: Mapping[str, Threshold]

    def judge(self, similarities: Mapping[str, float]) -> str | None:
        """Return the kind of space that decides about a picture, None if it has no vector."""
        known = [kind for kind in self.needed if kind in similarities]
        measured = [kind for kind in known if self.needed[kind].kept > 0]
        if measured:
            return max(measured, key=lambda kind: self.needed[kind].kept)
        return max(
            known, key=lambda kind: similarities[kind] - self.needed[kind].needed, default=None
        )

    def passes(self, similarities: Mapping[str, float]) -> bool:
        """Return whether a picture is near enough; it is not if it has no vector in any space."""
        kind = self.judge(similarities)
        return kind is not None and similarities[kind] >= self.needed[kind].needed

    def lacking(self, best: Sequence[Mapping[str, float]]) -> str:
        """Return the best similarities of these pictures, and the thresholds, in words."""
        nearest: dict[str, float] = {}
        for similarities in best:
            kind = self.judge(similarities)
            if kind is not None:
                nearest[kind] = max(similarities[kind], nearest.get(kind, -1.0))
        return ", ".join(
            f"best {kind} similarity {value:.2f}, needed {self.needed[kind].needed:.2f}"
            for kind, value in nearest.items()
        )


def thresholds(
    index: Index, measured: CalibrationStore, tenant: str, lists: Sequence[RankedList]
) -> Thresholds:
    """Return the thresholds of a search, for the lists that it ran.

    For a calibrated space the index is searched for the question's nearest pictures, without
    filters, as the calibration did. Raise IndexUnavailableError.
    """
    found: dict[str, Threshold] = {}
    for one in lists:
        if one.mode == "keyword" or one.vector is None or one.space_id is None:
            continue
        calibration = measured.get(tenant, one.space_id)
        cut = calibration.ways.get(one.way) if calibration is not None else None
        if cut is None:
            found[one.mode] = Threshold(needed=DEFAULTS[one.mode, one.way].related, kept=0.0)
            continue
        near = index.find_neighbours(tenant, one.space_id, one.vector, limit=CROWD)
        similarities = np.array([[hit.similarity for hit in near]], dtype=np.float64)
        found[one.mode] = Threshold(
            needed=cut.needed + SHARE * float(crowd(similarities)[0]),
            kept=max(cut.kept or 0.0, np.finfo(float).tiny),
        )
    return Thresholds(found)
