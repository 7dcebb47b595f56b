"""Sketches: features unpacked for voting, and the words by which a query is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.fingerprint.visual_words import BITS, PROBES, TABLES
from core.types import Features


class Sketch(NamedTuple):
    """Keypoints of one picture in the form that voting reads."""

    codes: NDArray[np.uint64]
    """All bits of each keypoint, table above table, (n,)."""
    points: NDArray[np.int16]
    """(n, 4): x and y in 1/64 pixel, size in 1/1024 octave, angle in 1/64 degree."""
    side: int
    """Long side in pixels."""


def sketch(features: Features) -> Sketch:
    """Unpack stored features into a sketch."""
    return sketches([features])[0]


def sketches(features: Sequence[Features]) -> list[Sketch]:
    """Unpack stored features of many pictures at once, about 100,000 a second."""
    codes = _codes(b"".join(one.words for one in features))
    points = _rounded(np.frombuffer(b"".join(one.points for one in features), np.float32))
    made, start = [], 0
    for one in features:
        end = start + len(one.points) // 16
        made.append(Sketch(codes[start:end], points[start:end], max(one.width, one.height)))
        start = end
    return made


class QuerySketch(NamedTuple):
    """A query as it is, mirrored, or as a negative, with the words by which it is looked up."""

    sketch: Sketch
    words: NDArray[np.uint32]
    """(w,) distinct words, sorted: of the keypoints, and their neighbours."""
    owners: NDArray[np.int64]
    """(w,) first keypoint of each word."""
    mirrored: bool
    negative: bool


class _Way(NamedTuple):
    """Keypoints of one preview as it is, mirrored, or as a negative."""

    codes: NDArray[np.uint64]
    points: NDArray[np.float32]
    """(n, 4) in pixels and degrees."""
    uncertain: NDArray[np.uint8]
    """(n, TABLES, PROBES), or empty."""


def query_sketches(features: Features) -> list[QuerySketch]:
    """Unpack features as those of the picture as it is, mirrored, as negative, and as both.

    The first two have the keypoints of the coarse preview as well. Features of version 1 have
    neither negatives nor uncertain bits, and make the first two.
    """
    side = max(features.width, features.height)
    coarse = features.coarse
    smaller = [] if coarse is None else _ways(coarse)
    made: list[QuerySketch] = []
    for n, way in enumerate(_ways(features)):
        mirrored, negative = bool(n % 2), n > 1
        if negative and not len(way.codes):
            continue
        if coarse is not None and not negative:
            way = _joined(way, smaller[n], side / max(coarse.width, coarse.height))  # noqa: PLW2901
        asked, owners = _probed(way.codes, way.uncertain)
        whole = Sketch(way.codes, _rounded(way.points), side)
        made.append(QuerySketch(whole, asked, owners, mirrored, negative))
    return made


def _ways(features: Features) -> list[_Way]:
    """Unpack the four ways of one preview; those of negatives may have no keypoints."""
    half = len(features.negative) // 2
    uncertain = np.frombuffer(features.uncertain, np.uint8).reshape(-1, TABLES, PROBES)
    made: list[_Way] = []
    first = 0
    for n, words in enumerate(
        (features.words, features.mirrored, features.negative[:half], features.negative[half:])
    ):
        codes = _codes(words)
        points = np.frombuffer(features.points, np.float32).reshape(-1, 4)[: len(codes)].copy()
        if n % 2:
            points[:, 0] = features.width - 1 - points[:, 0]
            points[:, 3] = 180 - points[:, 3]
        if n > 1:
            points[:, 3] += 180
        points[:, 3] %= 360
        made.append(_Way(codes, points, uncertain[first : first + len(codes)]))
        first += len(codes)
    return made


def _joined(way: _Way, coarse: _Way, scale: float) -> _Way:
    """Join the keypoints of both previews; `scale` enlarges the coarse one to the other."""
    points = coarse.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
    points[:, 2] *= scale
    return _Way(
        np.concatenate([way.codes, coarse.codes]),
        np.concatenate([way.points, points]),
        np.concatenate([way.uncertain, coarse.uncertain]),
    )


def _probed(
    codes: NDArray[np.uint64], uncertain: NDArray[np.uint8]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the distinct words of (n,) codes and of their neighbours, and the keypoint of each.

    `uncertain` is (n, TABLES, PROBES), or empty where only the words themselves are looked up. A
    word that several keypoints share belongs to the first that has it itself.
    """
    words = terms(codes)
    if len(uncertain):
        # (n, TABLES, PROBES) to table after table, as the words are.
        flips = np.uint32(1) << uncertain.astype(np.uint32).transpose(2, 1, 0).reshape(PROBES, -1)
        words = np.concatenate([words, *(words ^ flips)])
    distinct, first = np.unique(words, return_index=True)
    return distinct, first % max(1, len(codes))


def _codes(words: bytes) -> NDArray[np.uint64]:
    pair = np.frombuffer(words, np.uint32).reshape(-1, TABLES).astype(np.uint64)
    mask = np.uint64((1 << BITS) - 1)
    return (pair[:, 0] & mask) | ((pair[:, 1] & mask) << np.uint64(BITS))


def _rounded(points: NDArray[np.float32]) -> NDArray[np.int16]:
    made = points.reshape(-1, 4) * np.array([64, 64, 1, 64], np.float32)
    made[:, 2] = np.log2(np.maximum(made[:, 2], 0.01)) * 1024
    return np.round(made).astype(np.int16)


def terms(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the (2n,) words of (n,) codes, table after table."""
    low = codes & np.uint64((1 << BITS) - 1)
    high = codes >> np.uint64(BITS) | np.uint64(1 << BITS)
    return np.concatenate([low, high]).astype(np.uint32)


def vocabulary(codes: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the distinct words of (n,) codes, sorted, and the first keypoint of each."""
    words, first = np.unique(terms(codes), return_index=True)
    return words, first % max(1, len(codes))
