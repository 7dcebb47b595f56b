"""Aggregated vectors, one a picture from all its keypoints: the usual other search of features.

A vector of locally aggregated descriptors (Jegou et al. 2010), with the usual mends: RootSIFT,
its dimensions evened out (to 64), 64 words of a codebook, power normalisation, whitened to 512
dimensions. Codebook and whitening come from made pictures only, as everything here does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.keypoint_collection import KeypointCollection

CENTRES = 64
SHORT = 64
"""Dimensions of a descriptor after reduction."""
DIMENSIONS = 512
LEARNT = 60_000
ROUNDS = 12

Floats = NDArray[np.float32]


class Aggregate:
    """An aggregation of keypoints, with codebook and whitening learnt from some pictures."""

    def __init__(self, seen: KeypointCollection) -> None:
        random = np.random.default_rng(1)
        values, axes = np.linalg.eigh(np.cov(seen.rooted[:LEARNT].T))
        values, axes = values[::-1][:SHORT], axes[:, ::-1][:, :SHORT]
        self._axes = (axes / values**0.25).astype(np.float32)
        short = self._shortened(seen.rooted)
        sample = short[random.permutation(len(short))[:LEARNT]]
        centres = sample[:CENTRES]
        for _ in range(ROUNDS):
            nearest = (sample @ centres.T).argmax(axis=1)
            for number in np.unique(nearest):
                centres[number] = sample[nearest == number].mean(axis=0)
            centres = _unit(centres)
        self._centres = centres
        known = self._summed(seen)
        self._middle = known.mean(axis=0)
        _, sizes, axes = np.linalg.svd(known - self._middle, full_matrices=False)
        kept = min(DIMENSIONS, len(known) - 1)  # about their middle, n pictures span no more
        self._whitening = (axes[:kept].T / np.sqrt(sizes[:kept])).astype(np.float32)

    def of(self, pictures: KeypointCollection) -> Floats:
        """Return (pictures, DIMENSIONS) unit vectors, also for pictures without keypoints."""
        return _unit((self._summed(pictures) - self._middle) @ self._whitening)

    def _shortened(self, rooted: Floats) -> Floats:
        return _unit(rooted @ self._axes)

    def _summed(self, pictures: KeypointCollection) -> Floats:
        short = self._shortened(pictures.rooted)
        nearest = (short @ self._centres.T).argmax(axis=1)
        count = len(pictures.starts) - 1
        key = np.repeat(np.arange(count), np.diff(pictures.starts)) * CENTRES + nearest
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        sums = np.zeros((count * CENTRES, SHORT), np.float32)
        rest = short - self._centres[nearest]
        sums[ordered[first]] = np.add.reduceat(rest[order], first, axis=0)
        lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        sums /= lengths**0.7
        sums = sums.reshape(count, -1)
        return _unit(np.sign(sums) * np.sqrt(np.abs(sums)))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))
