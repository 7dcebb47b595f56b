"""Rank fusion of several lists, and hub reduction in the list of pictures near a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from core.types import Matrix, Vector

Mode = Literal["visual", "caption", "keyword"]
Way = Literal["text", "picture"]
"""Kind of query: a text, or a picture (by its vector, or by that of its caption)."""

K = 10
"""Added to each rank, counted from 0.

Cormack, Clarke and Buettcher (2009) take 60, for lists of a thousand. Here lists are short and
their heads are good: with 3,000 captions as queries for 1,000 photos stored with two others each,
K = 10 and weights of 0.7, 1 and 0.7 found 91.6 % among the first ten; 60 and equal weights 89.1 %,
the caption space alone 89.0 %.
"""
WEIGHTS: Mapping[tuple[Mode, Way], float] = {
    ("visual", "text"): 0.7,
    ("caption", "text"): 1.0,
    ("keyword", "text"): 0.35,
    ("visual", "picture"): 1.0,
    ("caption", "picture"): 1.0,
}
"""Weights of lists: a text matches captions better than pixels, and meanings better than words.

In the whole search, with hubs removed from the lists of both spaces (below), a keyword weight of
0.35 found 92.2 % of those 3,000 among the first ten and 0.5 91.8 %; 0.7, with hubs removed from the
visual list alone, 91.2 %.
"""
DEEP = 100
"""Minimum depth of a fused list: a picture far down in one may be first in all."""

HUBS_TOP = 100
"""Pictures of a list that are reranked against hubs."""
HUBS_NEAR = 10
"""Nearest texts of the bank by which a picture's hubness is measured."""
HUBS_SHARE = 0.5
"""Share of the hubness subtracted: half, as in CSLS without the text's own term."""


def share(weight: float, rank: int) -> float:
    """Return what a rank in a list, counted from 0, adds to a picture's total."""
    return weight / (K + rank)


def fuse(lists: Sequence[tuple[float, Sequence[str]]]) -> list[str]:
    """Return the ids of several (weight, ids best first) by the sum of weight / (K + rank).

    This is weighted reciprocal rank fusion (Cormack, Clarke, Buettcher 2009), with ranks from 0.
    Ties keep the order of the first list that has them.
    """
    totals: dict[str, float] = {}
    for weight, ids in lists:
        for rank, image_id in enumerate(ids):
            totals[image_id] = totals.get(image_id, 0.0) + share(weight, rank)
    return sorted(totals, key=lambda image_id: -totals[image_id])


def without_hubs(
    similarities: Sequence[float], vectors: Sequence[Vector | None], bank: Matrix
) -> list[int]:
    """Return the positions of (n,) pictures near a text, reranked: those near every text sink.

    Half the picture's mean cosine to its nearest ten of a bank of (m, d) unit text vectors is
    subtracted from each cosine (CSLS: Conneau et al. 2018, Word Translation Without Parallel Data,
    2.3; the text's own term is the same for all). A picture without a vector keeps its cosine. In
    the caption space the pictures' vectors are those of their captions (see `WEIGHTS`).
    """
    held = [n for n, vector in enumerate(vectors) if vector is not None]
    adjusted = np.array(similarities, np.float64)
    near = min(HUBS_NEAR, len(bank))
    if held and near:
        stacked = np.stack([vector for vector in vectors if vector is not None])
        cosines = stacked @ bank.T
        nearest = np.partition(cosines, -near, axis=1)[:, -near:]
        adjusted[held] -= HUBS_SHARE * nearest.mean(axis=1)
    return [int(n) for n in np.argsort(-adjusted, kind="stable")]
