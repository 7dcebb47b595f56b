"""Local features as words: what finds a crop, a frame or a small turn without any model.

Up to 200 SIFT keypoints of a 224-pixel grey preview (Lowe 2004), as RootSIFT (Arandjelovic and
Zisserman 2012) less a fixed mean; signs of fixed random projections (Charikar 2002) make two
words of 24 bits a keypoint. Nothing is trained. A mirrored picture has the same keypoints with
permuted descriptors, so both are made at once. Keypoints of two pictures that share words then
vote for one scale, turn and shift; votes are a reason to look closer, never a proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.types import Features, Pixels

SIDE = 224
"""Long side of the preview in pixels: query and index have to use the same (a 512-pixel query
against a 224-pixel index lost up to 9 points of recall, measured)."""
KEYPOINTS = 200
_CONTRAST = 0.01
"""A quarter of what Lowe used: only pictures of few keypoints get more of them, and a crop to a
quarter is found in 95 instead of 93 of 100 photos (measured)."""
TABLES = 2
BITS = 24
"""Bits of a word; the table's number lies above them, so that words of two tables never meet."""

_MEAN = np.frombuffer(
    bytes.fromhex(
        "3f413d352c26242b805d3b2b24232b4a804b2b23232a3a5d402c25252a333c43"
        "51423e3d39332e34af683e352e2e335faf60332d2d343e6954352e31353b3e44"
        "51342e33393d3e42af5f332e2e353e68af693e342d2d336054443e3b35312e35"
        "3f2b24262c353d41804a2b23242b3b5d805d3a2a23232b4b40433c332a25252c"
    ),
    np.uint8,
).astype(np.float32) / np.float32(1000)
"""Mean RootSIFT descriptor in thousandths, from 8,000 keypoints of 40 pictures of `core.scenes`
(seeds 1000 to 1039), made symmetric under the mirror."""
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].reshape(128)
"""Where each of the 128 numbers of a descriptor lies in that of the mirrored picture."""

_CLOSE_SHIFT = 0.08
"""Of the stored picture's long side."""
_CLOSE_SCALE = 0.5
"""Octaves."""
_CLOSE_TURN = 20.0
"""Degrees."""
_CLOSE_CODE = 8
"""Bits of 48 in which two keypoints may differ and still be a pair. Two pictures with a word in
common are laid beside each other by whole codes: words alone found a third fewer pairs."""
SHARED = 2
"""Words two pictures have to have in common before their keypoints are compared."""
_PAIRS = 32
"""Pairs of one candidate that vote; more say nothing new."""


@cache
def _projections() -> NDArray[np.float32]:
    """(128, TABLES * BITS) of +1 and -1: bits of SHAKE-128, the same for ever and everywhere."""
    count = 128 * TABLES * BITS
    drawn = hashlib.shake_128(b"seenit words 1").digest(count // 8)
    signs = np.unpackbits(np.frombuffer(drawn, np.uint8)).astype(np.float32)
    return (2 * signs - 1).reshape(128, TABLES * BITS)


def extract(preview: Pixels) -> Features:
    """Make the features of an upright 8-bit RGB preview, (height, width, 3), in about 7 ms.

    It is brought to 224 pixels on its long side by area, never enlarged. A picture without
    texture has none. Safe to call from many threads.
    """
    grey = cv2.cvtColor(preview, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT_create(KEYPOINTS, contrastThreshold=_CONTRAST)  # type: ignore[attr-defined]
    found, descriptors = sift.detectAndCompute(grey, None)
    points = np.array(
        [(*point.pt, point.size, point.angle) for point in found], np.float32
    ).reshape(-1, 4)
    if descriptors is None:
        descriptors = np.zeros((0, 128), np.float32)
    return Features(
        words=_words(descriptors).tobytes(),
        mirrored=_words(descriptors[:, _MIRROR]).tobytes(),
        points=points.tobytes(),
        width=grey.shape[1],
        height=grey.shape[0],
    )


def _words(descriptors: NDArray[np.float32]) -> NDArray[np.uint32]:
    """(n, TABLES) words of (n, 128) descriptors."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    rooted = np.sqrt(descriptors / total) - _MEAN
    bits = (rooted @ _projections() > 0).reshape(-1, TABLES, BITS)
    values = bits @ (1 << np.arange(BITS, dtype=np.uint32))
    return np.asarray(values + (np.arange(TABLES, dtype=np.uint32) << BITS), np.uint32)


# --- votes --------------------------------------------------------------------------------------


class Sketch(NamedTuple):
    """One picture's keypoints as the vote reads them."""

    codes: NDArray[np.uint64]
    """(n,): all bits of a keypoint, table above table."""
    points: NDArray[np.int16]
    """(n, 4): x and y in 1/64 pixel, size in 1/1024 octave, angle in 1/64 degree."""
    side: int
    """Long side in pixels."""


def sketch(features: Features) -> Sketch:
    """Read stored features."""
    return sketches([features])[0]


def sketches(features: Sequence[Features]) -> list[Sketch]:
    """Read stored features of many pictures at once, about 100,000 a second."""
    codes = _codes(b"".join(one.words for one in features))
    points = _rounded(np.frombuffer(b"".join(one.points for one in features), np.float32))
    made, start = [], 0
    for one in features:
        end = start + len(one.points) // 16
        made.append(Sketch(codes[start:end], points[start:end], max(one.width, one.height)))
        start = end
    return made


def reflected(features: Features) -> Sketch:
    """Read stored features as those of the mirrored picture."""
    points = np.frombuffer(features.points, np.float32).reshape(-1, 4).copy()
    points[:, 0] = features.width - 1 - points[:, 0]
    points[:, 3] = (180 - points[:, 3]) % 360
    side = max(features.width, features.height)
    return Sketch(_codes(features.mirrored), _rounded(points), side)


def _codes(words: bytes) -> NDArray[np.uint64]:
    pair = np.frombuffer(words, np.uint32).reshape(-1, TABLES).astype(np.uint64)
    mask = np.uint64((1 << BITS) - 1)
    return (pair[:, 0] & mask) | ((pair[:, 1] & mask) << np.uint64(BITS))


def _rounded(points: NDArray[np.float32]) -> NDArray[np.int16]:
    made = points.reshape(-1, 4) * np.array([64, 64, 1, 64], np.float32)
    made[:, 2] = np.log2(np.maximum(made[:, 2], 0.01)) * 1024
    return np.round(made).astype(np.int16)


def terms(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """(2n,) words of (n,) codes, table after table."""
    low = codes & np.uint64((1 << BITS) - 1)
    high = codes >> np.uint64(BITS) | np.uint64(1 << BITS)
    return np.concatenate([low, high]).astype(np.uint32)


def votes(query: Features, candidate: Features) -> tuple[int, bool]:
    """Count what agrees on one scale, turn and shift, and say whether the query is mirrored.

    The same count that an inverted table gives for the same two pictures.
    """
    return ballot((sketch(query), reflected(query)), [sketch(candidate)])[0]


def ballot(query: tuple[Sketch, Sketch], stored: Sequence[Sketch]) -> list[tuple[int, bool]]:
    """Votes of a picture (as it is, mirrored) for each of some stored ones, and which gave them.

    A picture is asked the way in which more of its words agree, both ways if as many do; with
    fewer than two words in common there is no vote.
    """
    counted = np.zeros((2, len(stored)), np.int64)
    shared = np.stack([_shared(one, stored) for one in query])
    asked = (shared >= SHARED) & (shared == shared.max(axis=0))
    for way, one in enumerate(query):
        places = np.flatnonzero(asked[way])
        counted[way, places] = tally(one, [stored[place] for place in places.tolist()])
    return [(int(max(a, b)), bool(b > a)) for a, b in counted.T]


def _shared(query: Sketch, stored: Sequence[Sketch]) -> NDArray[np.int64]:
    """(len(stored),): how many different words of the query each of them has."""
    asked = np.unique(terms(query.codes))
    if not len(asked) or not stored:
        return np.zeros(len(stored), np.int64)
    words = terms(np.concatenate([one.codes for one in stored]))
    picture = np.tile(np.repeat(np.arange(len(stored)), [len(one.codes) for one in stored]), TABLES)
    first = np.minimum(np.searchsorted(asked, words), len(asked) - 1)
    held = np.flatnonzero(asked[first] == words)
    pairs = np.unique(picture[held] * len(asked) + first[held])
    return np.bincount(pairs // len(asked), minlength=len(stored))


def tally(query: Sketch, stored: Sequence[Sketch]) -> NDArray[np.int64]:
    """Count the votes for each of some stored pictures, asked one way: (len(stored),).

    Keypoints whose codes are mutually nearest and close are a pair; every pair proposes one
    similarity transform. The votes are those of the proposal that most other pairs agree with,
    each place in either picture counting once.
    """
    result = np.zeros(len(stored), np.int64)
    which, ours, theirs = _pairs(query, stored)
    if not len(which):
        return result
    counts = np.bincount(which, minlength=len(stored))
    starts = np.cumsum(counts) - counts
    position = np.arange(len(which)) - starts[which]
    # Of more pairs than may vote, every so many-th, so that all of the picture takes part.
    step = np.maximum(1, -(-counts // _PAIRS))
    kept = position % step[which] == 0
    which, ours, theirs = which[kept], ours[kept], theirs[kept]
    position = position[kept] // step[which]
    rows, slots = np.unique(which, return_inverse=True)
    offsets = np.cumsum([0, *(len(one.codes) for one in stored)])
    there = np.concatenate([one.points for one in stored])[offsets[which] + theirs]
    sides = np.array([one.side for one in stored], np.float32)[rows]
    shape = (len(rows), int(position.max()) + 1)
    proposal = np.zeros((*shape, 4), np.float32)
    answer = np.zeros((*shape, 4), np.float32)
    valid = np.zeros(shape, bool)
    valid[slots, position] = True
    proposal[slots, position] = query.points[ours]
    answer[slots, position] = there
    agree = _agreement(proposal, answer, sides) & valid[:, :, None] & valid[:, None, :]
    supporters = agree.astype(np.float32)
    left = _distinct(supporters, proposal)
    right = _distinct(supporters, answer)
    result[rows] = np.minimum(left, right).max(axis=1)
    return result


def _pairs(
    query: Sketch, stored: Sequence[Sketch]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that are nearest to each other: stored picture, our keypoint, its keypoint; sorted."""
    none = np.zeros(0, np.int64)
    parts = [(none, none, none, none)]
    asked = query.codes[:, None]
    # One buffer for all: to ask the system for a new one each time took longer than to fill it.
    buffer = np.zeros(len(asked) * max((len(one.codes) for one in stored), default=0), np.uint64)
    for row, one in enumerate(stored):
        bits = buffer[: len(asked) * len(one.codes)].reshape(len(asked), len(one.codes))
        apart = np.bitwise_count(np.bitwise_xor(asked, one.codes, out=bits)).reshape(-1)
        close = np.flatnonzero(apart <= _CLOSE_CODE)
        ours, theirs = np.divmod(close, max(1, len(one.codes)))
        parts.append((np.full(len(close), row), ours, theirs, apart[close].astype(np.int64)))
    which, ours, theirs, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
    mutual = _first(which, ours, apart, theirs) & _first(which, theirs, apart, ours)
    return which[mutual], ours[mutual], theirs[mutual]


def _first(
    which: NDArray[np.int64],
    own: NDArray[np.int64],
    apart: NDArray[np.int64],
    other: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Of all pairs of one keypoint, the closest; of equals, the one of the lowest number."""
    order = np.lexsort((other, apart, own, which))
    new = np.ones(len(order), bool)
    same = (which[order][1:] == which[order][:-1]) & (own[order][1:] == own[order][:-1])
    new[1:] = ~same
    first = np.zeros(len(order), bool)
    first[order[new]] = True
    return first


def _agreement(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], sides: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(c, m, m): whether pair j lies where the transform that pair i proposes puts it."""
    octaves = (theirs[:, :, 2] - ours[:, :, 2]) / 1024
    turns = (theirs[:, :, 3] - ours[:, :, 3]) / 64
    apart = np.abs(octaves[:, :, None] - octaves[:, None, :])
    bend = np.abs((turns[:, :, None] - turns[:, None, :] + 180) % 360 - 180)
    scale = np.exp2(octaves)
    radians = np.radians(turns)
    across, down = scale * np.cos(radians), scale * np.sin(radians)
    x = ours[:, None, :, 0] - ours[:, :, None, 0]
    y = ours[:, None, :, 1] - ours[:, :, None, 1]
    right = across[:, :, None] * x - down[:, :, None] * y
    below = down[:, :, None] * x + across[:, :, None] * y
    right -= theirs[:, None, :, 0] - theirs[:, :, None, 0]
    below -= theirs[:, None, :, 1] - theirs[:, :, None, 1]
    reach = (64 * _CLOSE_SHIFT * sides)[:, None, None]
    near: NDArray[np.bool_] = right * right + below * below <= reach * reach
    return near & (apart <= _CLOSE_SCALE) & (bend <= _CLOSE_TURN)


def _distinct(supporters: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.int64]:
    """(c, m): at how many different places the supporters of each proposal lie."""
    x, y = points[:, :, 0], points[:, :, 1]
    same = (x[:, :, None] == x[:, None, :]) & (y[:, :, None] == y[:, None, :])
    first = same.argmax(axis=2)
    places = (first[:, :, None] == np.arange(points.shape[1])).astype(np.float32)
    counted: NDArray[np.int64] = (np.matmul(supporters, places) > 0).sum(axis=2)
    return counted
