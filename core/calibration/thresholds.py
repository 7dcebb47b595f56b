"""What counts as near enough in a space, measured on the pictures that are stored.

A model's cosines mean something else in every space and every collection, so the cut-off is
measured: texts of stored pictures ask for the others, their own picture left out. Whatever comes
back best is a false answer, and the cut-off is what all but a stated share of them stay under. It
is laid not on the cosine but on how far it stands out: half the mean similarity of the ten nearest
is taken off first, for a question near to everything is not answered by anything. That is the
question's half of CSLS (Conneau et al., "Word Translation Without Parallel Data", 2018, section
2.3). Measured on 1,000 photos with captions, 200 of them left out: where nine of ten questions
about those came back empty, so did 72 % of the others by the cosine alone, and 58 % by this.

A calibration holds numbers, and unit vectors of at most 1,000 texts of stored pictures, no text
and no id. A picture that was deleted since may have left a vector here; calibrating anew replaces
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
"""Of the crowd that is taken off: the paper's. A larger one (0.8) was better by 1.6 points on the
photos above, but leaves nothing where many pictures answer a question equally well."""
LEAST = 50
"""Questions under which a share of a tenth would rest on fewer than five of them."""
RATE = 0.1
"""Questions that nothing stored answers and that get an answer all the same."""
TWINS = 0.95
"""Cosine from which another picture's text says the same: that one does answer the question."""
BANK = 1_000
"""Most texts that the correction for hubs looks at; measured with as many."""

VERY_CLOSE, CLOSE, RELATED = 0.99, 0.9, 0.5
"""Shares of the best false answers that a band's similarities lie above."""


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a picture answers a question that is asked in one way."""

    needed: float
    """How far its similarity has to stand out."""
    asked: int
    """Questions that it was measured by."""
    kept: float | None
    """Share of the questions that have an answer and keep one; None where that cannot be asked."""
    best: tuple[float, ...]
    """Quantiles 0, 0.01 … 1 of the similarity of the best false answer."""

    def quantile(self, share: float) -> float:
        """The similarity that such a share of the best false answers stays under."""
        return float(np.interp(share, np.linspace(0, 1, len(self.best)), self.best))

    @property
    def bands(self) -> Bands:
        """A similarity in words: how few false answers come as close."""
        return Bands(
            very_close=self.quantile(VERY_CLOSE),
            close=self.quantile(CLOSE),
            related=self.quantile(RELATED),
        )


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured in one space of one tenant."""

    space_id: str
    kind: SpaceKind
    model: str
    pipeline_version: str
    made_at: str
    rate: float
    """The false answers that were asked for, 0 to 1."""
    pictures: int
    """Whose texts and vectors asked."""
    ways: dict[Way, CutOff]
    dimensions: int
    texts: bytes = b""
    """(n, dimensions) float16, row-major, little-endian: what the hub correction looks at."""

    @property
    def bank(self) -> Matrix:
        """(n, d) unit vectors of texts about stored pictures, n at most 1,000."""
        rows = np.frombuffer(self.texts, "<f2").reshape(-1, self.dimensions).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-6), dtype=np.float32)


def crowd(nearest: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean similarity of each question's ten nearest; (n, m), sorted, best first, to (n,).

    Fewer than ten count as they are; no picture at all is a crowd of 0.
    """
    held = np.asarray(nearest, dtype=np.float64)[:, :CROWD]
    if not held.shape[1]:
        return np.zeros(len(held))
    return np.asarray(np.nanmean(held, axis=1))


def cut(
    others: NDArray[np.floating],
    own: NDArray[np.floating] | None,
    rate: float,
    *,
    twins: float = 1.0,
) -> CutOff:
    """From the questions' nearest other pictures, and their own.

    `others` is (n, m), m at least 11 where there are so many: similarities with their own picture
    left out, best first. `own` is (n,), NaN where a question has no picture left to be answered
    by. Questions whose best other is at or above `twins` are not looked at. Raise ConflictError
    where fewer than 50 are left.
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
    """What a new question's best false answer reaches with a chance of at most `rate`.

    The order statistic of split conformal prediction (Vovk et al. 2005): the guarantee holds for
    however few questions, as long as the next one is like them.
    """
    ordered = np.sort(false)
    place = int(np.ceil((len(ordered) + 1) * (1 - rate)))
    return float(np.nextafter(ordered[min(place, len(ordered)) - 1], np.inf))


def packed(vectors: Matrix) -> bytes:
    """At most 1,000 rows, as a calibration keeps them."""
    return np.ascontiguousarray(vectors[:BANK], dtype="<f2").tobytes()
