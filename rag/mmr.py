"""Maximal marginal relevance: a choice of pictures near the question but unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.types import Vector

DIVERSITY = 0.7
"""Lambda of Carbonell and Goldstein 1998: 1 is relevance alone. Measured on 1,000 photos, eight
pictures a question, relevance by rank as in fusion: at 0.7 the right one is among them in 89.0 %
instead of 89.5 %, and the mean similarity between the eight falls from 0.35 to 0.28; at 0.6 the
first costs 1.6 points, at 0.5 four."""


def diverse(relevance: Sequence[float], vectors: Sequence[Vector | None], limit: int) -> list[int]:
    """Return the positions of at most `limit` items by maximal marginal relevance, best first.

    `relevance` is larger for better items, and is scaled here so that the best has 1; `vectors` are
    of unit length, one for each item. An item without a vector counts as unlike all others.
    """
    count = len(relevance)
    if not count or limit < 1:
        return []
    near = np.asarray(relevance, dtype=np.float64)
    best = near.max()
    near = near / best if best > 0 else np.ones(count)
    likest = np.zeros(count)
    left = np.ones(count, dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(limit, count):
        gain = np.where(left, DIVERSITY * near - (1 - DIVERSITY) * likest, -np.inf)
        pick = int(gain.argmax())
        chosen.append(pick)
        left[pick] = False
        mine = vectors[pick]
        if mine is not None:
            likest = np.maximum(
                likest, [0.0 if one is None else float(mine @ one) for one in vectors]
            )
    return chosen
