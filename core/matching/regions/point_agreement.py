"""Map that most keypoint matches of two pictures follow, and how unlikely chance made it."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.fingerprint import keypoints
from core.fingerprint.keypoints import Floats, MatchedPoints
from core.matching.regions import homography
from core.matching.regions.homography import FittedMap, Map

Rows = NDArray[np.intp]

_HYPOTHESES = 150
"""Matches that are tried as hypotheses; if many are true, some are among them."""
LEAST = 4
"""Distinct keypoints that must follow one map."""
_NEAR, _RISE, _FAR = 10.0, 0.22, 45.0
"""Pixels within which a match agrees with a hypothesis: a floor, a share of the distance from the
match that proposes it (perspective bends what is far), a limit."""
_SCALE, _DEGREES = 0.6, 35.0
"""Natural logarithm of scale and degrees of turn within which a match agrees likewise."""
_STEPS = (5.0, 3.0, 2.0, 1.5, 1.0, 1.0)
"""Tolerances of the rounds of refitting, in multiples of the last."""
_NEARBY = 0.08
"""Share of the original's long side within which a match is near the map."""
_MOVED, _MOVED_SHARE, _ACROSS = 15, 0.2, 0.35
"""Matches, and share of those nearby, that parallax moves, and how much of it across its line."""
_PLACE = 2.0
"""Pixels of a place: one corner may have keypoints of several sizes and angles."""


class PointAgreement(Struct, frozen=True):
    """Map found from keypoints, the matches that follow it, and the chance of that."""

    matrix: Map
    log_nfa: float
    """Decimal logarithm of the number of false alarms: how often chance gives as good a map."""
    inliers: int
    """Distinct places whose matches follow the map."""
    tentative: int
    """Matches that were tried."""
    sample: int
    """Matches that fix a map of its kind."""
    area: float
    """Square pixels of the original over which chance would spread the matches."""
    mirrored: bool
    negative: bool
    """Whether the matches are of reversed brightness, all or some of them."""
    sideways: bool
    """Whether many other matches lie near the map, moved along one line, as parallax moves them."""
    pairs: Rows
    """(n, 2) rows of query and candidate keypoints that follow it."""


def log_nfa(inliers: int, tentative: int, sample: int, area: float, tolerance: float) -> float:
    """Return the logarithm (base 10) of a map's number of false alarms.

    The a-contrario measure of Moisan and Stival (2004): the expected number of maps that `inliers`
    of `tentative` matches follow within `tolerance` pixels, if `sample` of them fix the map and all
    were spread by chance over `area` square pixels of the original.
    """
    if inliers <= sample:
        return 0.0
    chance = math.log10(min(1.0, math.pi * tolerance * tolerance / area))
    ways = _log_choose(tentative, inliers) + _log_choose(inliers, sample)
    return math.log10(max(1, tentative - sample)) + ways + chance * (inliers - sample)


def _log_choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(10)


def agreements(
    query: MatchedPoints,
    candidate: MatchedPoints,
    ratio: float,
    tolerance: float,
    *,
    certain: float,
    negatives: bool = True,
) -> list[PointAgreement]:
    """Return the maps of the picture and of its mirror image, the least likely by chance first.

    If neither is `certain` (a `log_nfa`), matches of reversed brightness are tried as well: alone
    for negatives, and with the others for pictures of which only a part is reversed. Without
    `negatives` they are tried only if straight ones follow any map, better than chance or not.
    """
    ways = {False: query, True: keypoints.mirror(query)}
    straight = {way: _Matches.of(points, candidate, ratio) for way, points in ways.items()}
    found = [_agreement(straight[way], candidate, tolerance, mirrored=way) for way in ways]
    best = min((one.log_nfa for one in found if one is not None), default=None)
    doubtful = negatives if best is None else best > certain
    if doubtful:
        for way, points in ways.items():
            turned = _Matches.of(keypoints.negative(points), candidate, ratio)
            found += [
                _agreement(matches, candidate, tolerance, mirrored=way, negative=True)
                for matches in (turned, turned.joined(straight[way]))
            ]
    return sorted((one for one in found if one is not None), key=lambda one: one.log_nfa)


class _Matches(Struct, frozen=True):
    """Matched rows with their keypoints on both sides, best first."""

    pairs: Rows
    cosines: Floats
    here: Floats
    there: Floats
    width: int

    @classmethod
    def of(cls, query: MatchedPoints, candidate: MatchedPoints, ratio: float) -> _Matches:
        pairs, cosines = keypoints.match(query, candidate, ratio)
        here, there = query.points[pairs[:, 0]], candidate.points[pairs[:, 1]]
        return cls(pairs, cosines, here, there, query.width)

    def joined(self, other: _Matches) -> _Matches:
        """Return the matches of both, best first."""
        cosines = np.concatenate([self.cosines, other.cosines])
        order = np.argsort(-cosines, kind="stable")
        return _Matches(
            np.concatenate([self.pairs, other.pairs])[order],
            cosines[order],
            np.concatenate([self.here, other.here])[order],
            np.concatenate([self.there, other.there])[order],
            self.width,
        )


def _agreement(
    matches: _Matches,
    candidate: MatchedPoints,
    tolerance: float,
    *,
    mirrored: bool,
    negative: bool = False,
) -> PointAgreement | None:
    """Return the map that most of these matches follow, None if too few follow any."""
    kept = _vote(matches.here, matches.there)
    if kept is None:
        return None
    first, second = (points[:, :2].astype(np.float64) for points in (matches.here, matches.there))
    fitted: FittedMap | None = None
    apart = second - first
    for step in _STEPS:
        fitted = homography.fit(first[kept], second[kept]) if kept.sum() >= LEAST else None
        if fitted is None:
            return None
        apart = homography.project(fitted.matrix, first) - second
        kept = np.linalg.norm(apart, axis=1) < step * tolerance
    inliers = min(_places(first[kept]), _places(second[kept]))
    area = float(candidate.width * candidate.height)
    if inliers < LEAST or fitted is None:
        return None
    matrix = fitted.matrix
    if mirrored:
        matrix = matrix @ homography.mirroring(matches.width)
    return PointAgreement(
        matrix=matrix / matrix[2, 2],
        log_nfa=log_nfa(inliers, len(first), fitted.sample, area, tolerance),
        inliers=inliers,
        tentative=len(first),
        sample=fitted.sample,
        area=area,
        mirrored=mirrored,
        negative=negative,
        sideways=_moved_sideways(apart, max(candidate.width, candidate.height), tolerance),
        pairs=matches.pairs[kept],
    )


def _moved_sideways(apart: homography.Points, side: int, tolerance: float) -> bool:
    """Return whether many of these (n, 2) distances from a map are small and along one line.

    Two cameras side by side see what is near and what is far shifted along the epipolar lines
    (Hartley and Zisserman 2004), which no map of a plane does. Measured: of a stereo pair 46 % are
    moved, 0.21 as much across as along; lenses and waves move as many, at least 0.58.
    """
    away = np.linalg.norm(apart, axis=1)
    near = away < _NEARBY * side
    moved = int((near & (away > tolerance)).sum())
    if moved < max(_MOVED, _MOVED_SHARE * near.sum()):
        return False
    along, across = np.linalg.svd(apart[near] - np.median(apart[near], axis=0), compute_uv=False)
    return bool(across <= _ACROSS * along)


def _vote(here: Floats, there: Floats) -> NDArray[np.bool_] | None:
    """Return the matches that agree, loosely, with the similarity that most of them follow.

    Each match alone fixes scale, rotation and position, so all are tried in turn, without random
    sampling. (n, 4) rows of x, y, size, angle that belong together.
    """
    if len(here) < LEAST:
        return None
    first, second = (
        points[:, 0].astype(np.float64) + 1j * points[:, 1] for points in (here, there)
    )
    scale = np.log(there[:, 2] / here[:, 2]).astype(np.float64)
    angle = np.deg2rad((there[:, 3] - here[:, 3]).astype(np.float64))
    factor = np.exp(scale + 1j * angle)[:_HYPOTHESES]
    count = len(factor)
    moved = factor[:, None] * (first[None] - first[:count, None])
    apart = second[None] - second[:count, None]
    close = np.abs(moved - apart) < np.clip(_RISE * np.abs(apart), _NEAR, _FAR)
    close &= np.abs(scale[None] - scale[:count, None]) < _SCALE
    turned = (angle[None] - angle[:count, None] + np.pi) % (2 * np.pi) - np.pi
    close &= np.abs(turned) < math.radians(_DEGREES)
    votes = close.sum(axis=1)
    best = int(votes.argmax())
    return np.asarray(close[best]) if votes[best] >= LEAST else None


def _places(points: homography.Points) -> int:
    """Count the distinct places among (n, 2) points."""
    x, y = np.rint(points / _PLACE).astype(np.int64).T
    return len(np.unique(x * 100_003 + y))
