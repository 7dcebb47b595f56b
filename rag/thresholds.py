"""What a picture has to reach to be an answer, for one question at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from core.calibration.thresholds import CROWD, SHARE, Calibration, crowd
from core.ports import Index
from core.search.bands import DEFAULTS
from core.search.fusion import Way
from core.types import SpaceKind, Vector


class ReadsCalibrations(Protocol):
    """Where calibrations are read."""

    def get(self, tenant: str, space_id: str) -> Calibration | None:
        """None where nobody calibrated that space."""


class SpaceQuestion(NamedTuple):
    """A question as it lies in one space."""

    kind: SpaceKind
    space_id: str
    vector: Vector


class Threshold(NamedTuple):
    """The cosine that is needed in one space."""

    needed: float
    kept: float
    """How well that space tells answers from others, 0 to 1; 0 where it was not measured."""


class Thresholds:
    """The bars of one question, by kind of space.

    Where both spaces were calibrated, the one that kept more answers judges every picture that has
    a vector in it, and the other one judges the rest: two chances to pass would be two chances to
    pass wrongly. In a space that nobody calibrated a picture has to be "related"
    (`core/search/bands.py`).
    """

    def __init__(self, bars: Mapping[str, Threshold]) -> None:
        self._bars = dict(bars)

    def judge(self, similarities: Mapping[str, float]) -> str | None:
        """The kind of space that decides about a picture, None where it has a vector in none."""
        known = [kind for kind in self._bars if kind in similarities]
        measured = [kind for kind in known if self._bars[kind].kept > 0]
        if measured:
            return max(measured, key=lambda kind: self._bars[kind].kept)
        return max(
            known, key=lambda kind: similarities[kind] - self._bars[kind].needed, default=None
        )

    def passes(self, similarities: Mapping[str, float]) -> bool:
        """Whether a picture is near enough; one that is in no space asked is not."""
        kind = self.judge(similarities)
        return kind is not None and similarities[kind] >= self._bars[kind].needed

    def lacking(self, best: Sequence[Mapping[str, float]]) -> str:
        """In words: how near the nearest of these came, and what was needed."""
        nearest: dict[str, float] = {}
        for similarities in best:
            kind = self.judge(similarities)
            if kind is not None:
                nearest[kind] = max(similarities[kind], nearest.get(kind, -1.0))
        return ", ".join(
            f"best {kind} similarity {value:.2f}, needed {self._bars[kind].needed:.2f}"
            for kind, value in nearest.items()
        )


def bars(
    index: Index, measured: ReadsCalibrations, tenant: str, way: Way, asked: Sequence[SpaceQuestion]
) -> Thresholds:
    """Those of one question. Raise IndexUnavailableError."""
    return Thresholds({one.kind: _bar(index, measured, tenant, way, one) for one in asked})


def _bar(
    index: Index, measured: ReadsCalibrations, tenant: str, way: Way, asked: SpaceQuestion
) -> Threshold:
    calibration = measured.get(tenant, asked.space_id)
    cut = calibration.ways.get(way) if calibration is not None else None
    if cut is None:
        return Threshold(needed=DEFAULTS[asked.kind, way].related, kept=0.0)
    near = index.neighbours(tenant, asked.space_id, asked.vector, limit=CROWD)
    similarities = np.array([[one.similarity for one in near]], dtype=np.float64)
    return Threshold(
        needed=cut.needed + SHARE * float(crowd(similarities)[0]),
        kept=max(cut.kept or 0.0, np.finfo(float).tiny),
    )
