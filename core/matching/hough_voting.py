"""Votes: the number of local features of two pictures that agree on one transformation.

A transformation is a scale, a rotation and a shift. Votes justify an alignment, and prove nothing:
stripes, checks and logos agree too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.fingerprint.sketches import QuerySketch, Sketch, vocabulary

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


class VotePairs(NamedTuple):
    """Pairs of keypoints, sorted: stored picture, query keypoint, its keypoint; (n,) each."""

    which: Ints
    ours: Ints
    theirs: Ints


class Contest(NamedTuple):
    """Stored pictures against one way of the query."""

    query: Sketch
    stored: Sequence[Sketch]
    pairs: VotePairs
    """Pairs of keypoints; `which` numbers the stored pictures."""


class Ballot(NamedTuple):
    """Votes for a stored picture, and the way of the query that has the most."""

    votes: int
    mirrored: bool
    negative: bool


def ballot(query: Sequence[QuerySketch], candidate: Sketch) -> Ballot:
    """Count the votes for one stored picture in each way of the query; return the first best."""
    words, owners = vocabulary(candidate.codes)
    contests = [_meeting(way, candidate, words, owners) for way in query]
    counts = [int(votes.sum()) for votes in elect(contests)]
    best = counts.index(max(counts))
    return Ballot(counts[best], query[best].mirrored, query[best].negative)


def _meeting(
    way: QuerySketch, candidate: Sketch, words: NDArray[np.uint32], owners: Ints
) -> Contest:
    _, here, there = np.intersect1d(way.words, words, assume_unique=True, return_indices=True)
    pairs = sifted(np.zeros(len(here), np.int64), way.owners[here], owners[there])
    return Contest(way.sketch, [candidate], pairs)


def elect(contests: Sequence[Contest]) -> list[Ints]:
    """Count the votes for pictures whose pairs have a common word: (len(stored),) a contest.

    Pictures in which hardly any of these pairs agree have none; of the others all keypoints are
    compared.
    """
    hopeful = [agreeing >= SHARED for agreeing in _agreeing(contests, _SAMPLE)]
    found = [np.zeros(len(one.stored), np.int64) for one in contests]
    chosen = [
        (one.query, [one.stored[place] for place in np.flatnonzero(good).tolist()])
        for one, good in zip(contests, hopeful, strict=True)
    ]
    for votes, good, count in zip(found, hopeful, tally(chosen), strict=True):
        votes[good] = count
    return found


def alike(query: Sequence[QuerySketch], candidate: Sketch) -> int:
    """Count the votes of all keypoints, also where no words are shared: the best of the ways."""
    return max(int(votes[0]) for votes in tally([(way.sketch, [candidate]) for way in query]))


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


def tally(asked: Sequence[tuple[Sketch, Sequence[Sketch]]]) -> list[Ints]:
    """Count the votes for stored pictures in each way of a query: (len(stored),) a way.

    Keypoints whose codes are mutually nearest and close are a pair.
    """
    return _agreeing([Contest(way, held, _nearest(way, held)) for way, held in asked], _PAIRS)


def _agreeing(contests: Sequence[Contest], most: int) -> list[Ints]:
    """Count for each stored picture the pairs that agree with its best pair, a contest at a time.

    Every pair proposes one similarity transform; each place in either picture counts once. If a
    picture has more than `most` pairs, a regular sample of them proposes, so that all of it takes
    part. All contests are counted together: arrays of few pairs cost as much as those of many.
    """
    ends = np.cumsum([len(one.stored) for one in contests])
    stored = [one for contest in contests for one in contest.stored]
    which = np.concatenate(
        [one.pairs.which + end - len(one.stored) for one, end in zip(contests, ends, strict=True)]
    )
    counts = np.bincount(which, minlength=len(stored))
    result = np.zeros(len(stored), np.int64)
    if len(which):
        position = np.arange(len(which)) - (np.cumsum(counts) - counts)[which]
        taken = np.flatnonzero(position % np.maximum(1, -(-counts // most))[which] == 0)
        here = np.concatenate([one.query.points[one.pairs.ours] for one in contests])[taken]
        theirs = np.concatenate([one.pairs.theirs for one in contests])[taken]
        which = which[taken]
        points = [one.points for one in stored]
        offsets = np.cumsum([0, *map(len, points)])
        there = np.concatenate(points)[offsets[which] + theirs]
        sides = np.array([one.side for one in stored], np.float32)[which]
        begins = np.flatnonzero(distinct_from_last(which))
        votes = _supporters(here, there, sides, np.diff(begins, append=len(which)))
        result[which[begins]] = np.maximum.reduceat(votes, begins)
    return np.split(result, ends[:-1])


def _supporters(
    ours: NDArray[np.int16], theirs: NDArray[np.int16], sides: NDArray[np.float32], lengths: Ints
) -> Ints:
    """Count for each of (n,) pairs those of the same picture that its transform explains.

    `ours` and `theirs` are (n, 4) keypoints, `lengths` the numbers of pairs of one picture after
    another. Pairs with one place in either picture count once.
    """
    each = np.repeat(lengths, lengths)
    begin = np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.repeat(np.arange(len(each)), each)
    second = np.arange(len(first)) - np.repeat(np.cumsum(each) - each - begin, each)
    first, second = _explained(
        ours.astype(np.float32), theirs.astype(np.float32), sides, first, second
    )
    return np.minimum(_distinct(first, ours[second]), _distinct(first, theirs[second]))


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


def _explained(
    ours: NDArray[np.float32],
    theirs: NDArray[np.float32],
    sides: NDArray[np.float32],
    first: Ints,
    second: Ints,
) -> tuple[Ints, Ints]:
    """Keep of (m,) combinations those whose second pair is where the transform of the first is."""
    octaves = (theirs[:, 2] - ours[:, 2]) / 1024
    turns = (theirs[:, 3] - ours[:, 3]) / 64
    # Scale and rotation first: they rule out 24 of 25 combinations of new photos (measured).
    close = np.abs(octaves[first] - octaves[second]) <= _CLOSE_SCALE
    first, second = first[close], second[close]
    bend = np.abs((turns[first] - turns[second] + 180) % 360 - 180)
    close = bend <= _CLOSE_TURN
    first, second = first[close], second[close]
    scale, radians = np.exp2(octaves), np.radians(turns)
    across, down = (scale * np.cos(radians))[first], (scale * np.sin(radians))[first]
    x, y = (ours[second, :2] - ours[first, :2]).T
    aside, under = (theirs[second, :2] - theirs[first, :2]).T
    right = across * x - down * y - aside
    below = down * x + across * y - under
    side = 64 * sides[first]
    reach = _CLOSE_SHIFT * np.sqrt(aside * aside + under * under)
    reach = np.clip(reach, _LEAST_SHIFT * side, _MOST_SHIFT * side)
    near = right * right + below * below <= reach * reach
    return first[near], second[near]


def _distinct(first: Ints, points: NDArray[np.int16]) -> Ints:
    """Count the different places among the keypoints of each number in `first`, which is sorted."""
    places = points[:, :2].astype(np.uint16).astype(np.int64)
    key = first << 32 | places[:, 0] << 16 | places[:, 1]
    key.sort()
    return np.bincount(key[distinct_from_last(key)] >> 32)
