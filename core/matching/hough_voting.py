"""Votes: the number of local features of two pictures that agree on one transformation.

A transformation is a scale, a rotation and a shift. Votes justify an alignment, and prove nothing:
stripes, checks and logos agree too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.fingerprint.visual_words import QuerySketch, Sketch, vocabulary

Ints = NDArray[np.int64]

_CLOSE_SHIFT = 0.15
"""Tolerance of the shift, as a share of the distance of two keypoints in the stored picture."""
_LEAST_SHIFT, _MOST_SHIFT = 0.02, 0.06
"""Bounds of that tolerance, as shares of the stored picture's long side. Measured: with a fixed
share of 0.08, half an octave and 20 degrees a new photo among 600 others had 0.087 false candidates
by three votes, with these 0.003, and the edits were found as before, slanted and bent ones too."""
_CLOSE_SCALE = 0.4
"""Tolerance of the scale, in octaves."""
_CLOSE_TURN = 15.0
"""Tolerance of the rotation, in degrees."""
_CLOSE_CODE = 8
"""Bits of 48 in which two keypoints may differ and still be a pair. Two pictures with a common word
are compared by whole codes: words alone found a third fewer pairs."""
SHARED = 2
"""Keypoints with a common word that have to agree before all keypoints are compared: lost none of
800 edited photos that have five votes, and excludes 99 of 100 other pictures (measured)."""
_SAMPLE = 24
"""Pairs of keypoints with a common word that are sampled for that."""
_PAIRS = 64
"""Pairs of one candidate that vote; more add nothing."""
_CLASSES = (2, 4)
"""Numbers of pairs per picture up to which pictures are counted together."""


class VotePairs(NamedTuple):
    """Pairs of keypoints, sorted: stored picture, query keypoint, its keypoint; (n,) each."""

    which: Ints
    ours: Ints
    theirs: Ints


class Ballot(NamedTuple):
    """Votes for a stored picture, and the way of the query that has the most."""

    votes: int
    mirrored: bool
    negative: bool


def ballot(query: Sequence[QuerySketch], candidate: Sketch) -> Ballot:
    """Count the votes for one stored picture in each way of the query; return the first best."""
    words, owners = vocabulary(candidate.codes)
    ballots = (
        Ballot(_ask(way, candidate, words, owners), way.mirrored, way.negative) for way in query
    )
    return max(ballots, key=lambda one: one.votes)


def _ask(way: QuerySketch, candidate: Sketch, words: NDArray[np.uint32], owners: Ints) -> int:
    _, here, there = np.intersect1d(way.words, words, assume_unique=True, return_indices=True)
    pairs = sifted(np.zeros(len(here), np.int64), way.owners[here], owners[there])
    sketch = way.sketch
    return int(tally(sketch, [candidate])[0]) if promising(sketch, [candidate], pairs)[0] else 0


def alike(query: Sequence[QuerySketch], candidate: Sketch) -> int:
    """Count the votes of all keypoints, also where no words are shared: the best of the ways."""
    return max(int(tally(way.sketch, [candidate])[0]) for way in query)


def sifted(which: Ints, ours: Ints, theirs: Ints) -> VotePairs:
    """Sort pairs and remove duplicates; numbers of keypoints are below 4,096."""
    key = which << 24 | ours << 12 | theirs
    # Sorted and then thinned: numpy's own `unique` hashes, which took 30 times as long.
    key.sort()
    key = key[distinct_from_last(key)]
    return VotePairs(key >> 24, key >> 12 & 0xFFF, key & 0xFFF)


def distinct_from_last(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the sorted numbers that differ from the one before."""
    flags = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=flags[1:])
    return flags


def promising(query: Sketch, stored: Sequence[Sketch], pairs: VotePairs) -> NDArray[np.bool_]:
    """Return (len(stored),) whether keypoints with a common word agree at all."""
    return _agreeing(query, stored, pairs, _SAMPLE) >= SHARED


def tally(query: Sketch, stored: Sequence[Sketch]) -> Ints:
    """Count the votes for each of some stored pictures, in one direction: (len(stored),).

    Keypoints whose codes are mutually nearest and close are a pair.
    """
    return _agreeing(query, stored, _nearest(query, stored), _PAIRS)


def _agreeing(query: Sketch, stored: Sequence[Sketch], pairs: VotePairs, most: int) -> Ints:
    """Count for each stored picture the pairs that agree with its best pair: (len(stored),).

    Every pair proposes one similarity transform; each place in either picture counts once. If a
    picture has more than `most` pairs, a regular sample of them proposes, so that all of it takes
    part.
    """
    result = np.zeros(len(stored), np.int64)
    which, ours, theirs = pairs
    if not len(which):
        return result
    counts = np.bincount(which, minlength=len(stored))
    position = np.arange(len(which)) - (np.cumsum(counts) - counts)[which]
    step = np.maximum(1, -(-counts // most))
    position, rest = np.divmod(position, step[which])
    offsets = np.cumsum([0, *(len(one.codes) for one in stored)])
    there = np.concatenate([one.points for one in stored])[offsets[which] + theirs]
    here = query.points[ours]
    sides = np.array([one.side for one in stored], np.float32)
    # Those of few pairs apart from those of many, so that little is filled up for nothing.
    lowest = 1
    for bound in (*_CLASSES, most):
        mine = (lowest <= counts) & (counts <= bound if bound < most else counts >= lowest)
        taken = np.flatnonzero(mine[which] & (rest == 0))
        rows = np.flatnonzero(mine)
        lowest = bound + 1
        if not len(rows):
            continue
        places = np.searchsorted(rows, which[taken]), position[taken]
        shape = (len(rows), int(position[taken].max()) + 1)
        proposal = np.zeros((*shape, 4), np.float32)
        answer = np.zeros((*shape, 4), np.float32)
        valid = np.zeros(shape, bool)
        proposal[places], answer[places], valid[places] = here[taken], there[taken], True
        agree = _agreement(proposal, answer, sides[rows])
        agree &= valid[:, :, None] & valid[:, None, :]
        supporters = agree.astype(np.float32)
        left, right = _distinct(supporters, proposal), _distinct(supporters, answer)
        result[rows] = np.minimum(left, right).max(axis=1)
    return result


def _nearest(query: Sketch, stored: Sequence[Sketch]) -> VotePairs:
    """Pair the keypoints that are close and mutually nearest."""
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
    return VotePairs(which[mutual], ours[mutual], theirs[mutual])


def _first(
    which: Ints,
    own: Ints,
    apart: Ints,
    other: Ints,
) -> NDArray[np.bool_]:
    """Mark the closest of all pairs of one keypoint; on ties, the one of the lowest number."""
    order = np.lexsort((other, apart, own, which))
    new = np.ones(len(order), bool)
    new[1:] = (which[order][1:] != which[order][:-1]) | (own[order][1:] != own[order][:-1])
    first = np.zeros(len(order), bool)
    first[order[new]] = True
    return first


def _agreement(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], sides: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return (c, m, m) whether pair j is where the transform of pair i puts it."""
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
    aside = theirs[:, None, :, 0] - theirs[:, :, None, 0]
    under = theirs[:, None, :, 1] - theirs[:, :, None, 1]
    right -= aside
    below -= under
    side = (64 * sides)[:, None, None]
    reach = _CLOSE_SHIFT * np.sqrt(aside * aside + under * under)
    reach = np.clip(reach, _LEAST_SHIFT * side, _MOST_SHIFT * side)
    near: NDArray[np.bool_] = right * right + below * below <= reach * reach
    return near & (apart <= _CLOSE_SCALE) & (bend <= _CLOSE_TURN)


def _distinct(supporters: NDArray[np.float32], points: NDArray[np.float32]) -> Ints:
    """Count (c, m) the different places of the supporters of each proposal."""
    x, y = points[:, :, 0], points[:, :, 1]
    same = (x[:, :, None] == x[:, None, :]) & (y[:, :, None] == y[:, None, :])
    first = same.argmax(axis=2)
    places = (first[:, :, None] == np.arange(points.shape[1])).astype(np.float32)
    return np.asarray((np.matmul(supporters, places) > 0).sum(axis=2))
