"""Thresholds of a space from which a picture answers a query, measured on stored pictures.

A model's cosines mean different things in every space and every collection, so the cut-off is
measured: texts of stored pictures are queries, with their own picture left out. The best hit is
then a false answer, and all but a given share of false answers stay below the cut-off. The cut-off
applies not to the cosine but to its distance from the crowd: half the mean similarity of the ten
nearest is subtracted first, because a query near to everything has no answer. That is the query's
half of CSLS (Conneau et al., "Word Translation Without Parallel Data", 2018, section 2.3). Measured
on 1,000 photos with captions, 200 of them left out: where nine of ten queries about those came back
empty, so did 72 % of the others by the cosine alone, and 58 % by this.

A calibration holds numbers, and unit vectors of at most 1,000 texts of stored pictures, no text and
no id. A picture that was deleted since may have left a vector here; the next calibration replaces
it.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ConflictError
from core.search.bands import Bands
from core.search.fusion import Way
from core.types import Matrix, SpaceKind

CROWD = 10
"""Nearest pictures whose mean similarity is the crowd; ten, as in the paper. Between 5 and 20 the
share that is wrongly empty changed by a point."""
SHARE = 0.5
"""Share of the crowd that is subtracted, as in the paper. A larger one (0.8) was better by 1.6
points on the photos above, but leaves nothing where many pictures answer a query equally well."""
LEAST = 50
"""Queries under which a share of a tenth would rest on fewer than five of them."""
RATE = 0.1
"""Share of unanswerable queries that get an answer all the same."""
TWINS = 0.95
"""Cosine from which another picture's text is equivalent: that picture does answer the query."""
BANK = 1_000
"""Texts that the correction for hubs uses, at most; measured with as many."""

VERY_CLOSE, CLOSE, RELATED = 0.99, 0.9, 0.5
"""Shares of the best false answers that are below the similarities of a band."""


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """Threshold from which a picture answers a query of one kind."""

    needed: float
    """Required distance of its similarity from the crowd."""
    asked: int
    """Number of queries that it was measured by."""
    kept: float | None
    """Share of the answerable queries that keep their answer; None if there are none."""
    best: tuple[float, ...]
    """Quantiles 0, 0.01 … 1 of the similarity of the best false answer."""

    def quantile(self, share: float) -> float:
        """Return the similarity below which such a share of the best false answers stays."""
        return float(np.interp(share, np.linspace(0, 1, len(self.best)), self.best))

    @property
    def bands(self) -> Bands:
        """Return the bands: similarities by how few false answers come as close."""
        return Bands(
            very_close=self.quantile(VERY_CLOSE),
            close=self.quantile(CLOSE),
            related=self.quantile(RELATED),
        )


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements in one space of one tenant."""

    space_id: str
    kind: SpaceKind
    model: str
    pipeline_version: str
    made_at: str
    rate: float
    """Requested share of false answers, 0 to 1."""
    pictures: int
    """Number of pictures whose texts and vectors were queries."""
    ways: dict[Way, CutOff]
    dimensions: int
    texts: bytes = b""
    """Texts of the hub correction, (n, dimensions) float16, row-major, little-endian."""

    @property
    def bank(self) -> Matrix:
        """Return (n, d) unit vectors of texts about stored pictures, n at most 1,000."""
        rows = np.frombuffer(self.texts, "<f2").reshape(-1, self.dimensions).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-6), dtype=np.float32)


def crowd(nearest: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average each query's ten nearest similarities: (n, m), sorted, best first, to (n,).

    Fewer than ten are averaged as they are; no picture at all is a crowd of 0.
    """
    held = np.asarray(nearest, dtype=np.float64)[:, :CROWD]
    return np.asarray(np.nanmean(held, axis=1)) if held.shape[1] else np.zeros(len(held))


def cut(
    others: NDArray[np.floating],
    own: NDArray[np.floating] | None,
    rate: float,
    *,
    twins: float = 1.0,
) -> CutOff:
    """Compute the cut-off from the queries' nearest other pictures, and their own.

    `others` is (n, m), m at least 11 where there are so many: similarities with their own picture
    left out, best first. `own` is (n,), NaN for a query without a picture that answers it. Queries
    whose best other is at or above `twins` are excluded. Raise ConflictError if fewer than 50 are
    left.
    """
    others = np.asarray(others, dtype=np.float64)
    fair = others[:, 0] < twins if others.shape[1] else np.zeros(len(others), dtype=bool)
    others = others[fair]
    if len(others) < LEAST:
        raise ConflictError(
            f"{len(others)} stored pictures can ask a question, and {LEAST} are needed to measure "
            "what a false answer looks like"
        )
    false = others[:, 0] - SHARE * crowd(others)
    needed = _at(false, rate)
    kept = None
    if own is not None and np.isfinite(own[fair]).any():
        asked = np.isfinite(own[fair])
        whole = np.column_stack([others[asked], own[fair][asked]])
        whole = -np.sort(-whole, axis=1)
        kept = float((whole[:, 0] - SHARE * crowd(whole) >= needed).mean())
    return CutOff(
        needed=needed,
        asked=len(others),
        kept=kept,
        best=tuple(float(v) for v in np.quantile(others[:, 0], np.linspace(0, 1, 101))),
    )


def _at(false: NDArray[np.float64], rate: float) -> float:
    """Return what a new query's best false answer reaches with a probability of at most `rate`.

    The order statistic of split conformal prediction (Vovk et al. 2005): the guarantee holds for
    any number of queries, as long as the next one is like them.
    """
    ordered = np.sort(false)
    place = int(np.ceil((len(ordered) + 1) * (1 - rate)))
    return float(np.nextafter(ordered[min(place, len(ordered)) - 1], np.inf))


def packed(vectors: Matrix) -> bytes:
    """Pack at most 1,000 rows for storage in a calibration."""
    return np.ascontiguousarray(vectors[:BANK], dtype="<f2").tobytes()
