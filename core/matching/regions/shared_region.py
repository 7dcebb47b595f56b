"""The region that two pictures share: whether there is one, and where it lies in either.

Decided by chance, not by what covers the rest: keypoint matches follow one map (their number of
false alarms), and the pixels under the map agree in some blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.fingerprint import keypoints
from core.fingerprint.keypoints import MatchedPoints
from core.matching.policy import Policy
from core.matching.regions import block_agreement, homography, overlay, point_agreement
from core.matching.regions.block_agreement import BlockAgreement
from core.matching.regions.homography import Size
from core.matching.regions.overlay import Overlay
from core.matching.regions.point_agreement import PointAgreement
from core.types import Pixels

_BENT = 0.04
"""Share of the blocks that must agree besides once a deformation is undone, for it to be one."""
_PART_MARGIN = 0.3
"""Share by which a part that is looked at again is larger than the overlap, on each side."""
_PART_MOST = 0.45
"""Share of a picture's area above which a part is no part."""
_PART_SIDE, _PART_ENLARGED = 480, 4.0
"""Pixels of an enlarged part's long side, and the factor of enlargement, at most."""
_PART_POINTS = 500
_REDUCED = (0.25, 0.5)
"""Factors by which both pictures are reduced to be looked at again, the cheaper first: what blurs
and mosaics leave is coarse. Measured: of 17 edited photos that were missed, 10 are confirmed."""
_REDUCED_POINTS = 300
_PART_TOLERANCE = 3.0
"""Pixels within which a keypoint of an enlarged part follows a map: it is placed more exactly."""


class Side:
    """One side of a comparison: its preview and keypoints."""

    def __init__(self, pixels: Pixels, points: MatchedPoints) -> None:
        self.pixels = pixels
        self.points = points
        self.size = size_of(pixels)
        """Width and height in pixels."""
        self._reduced: dict[float, Side] = {}

    def reduced(self, factor: float) -> Side:
        """Return the same side with the keypoints of the picture reduced by a factor."""
        if factor not in self._reduced:
            width, height = self.size
            shape = max(1, round(width * factor)), max(1, round(height * factor))
            packed = keypoints.detail(overlay.resized(self.pixels, shape), _REDUCED_POINTS)
            points = _placed(keypoints.unpack(packed), factor, self.size)
            self._reduced[factor] = Side(self.pixels, points)
        return self._reduced[factor]


def size_of(pixels: Pixels) -> Size:
    """Return the width and height of (height, width, 3) pixels."""
    return pixels.shape[1], pixels.shape[0]


class SharedRegion(Struct, frozen=True):
    """A hypothesis of where a picture lies on an original, with the evidence for it."""

    points: PointAgreement
    overlay: Overlay
    blocks: BlockAgreement

    @classmethod
    def of(cls, points: PointAgreement, laid: Overlay) -> SharedRegion:
        """Compare the blocks of an overlay."""
        return cls(points, laid, block_agreement.agreement(laid))

    def apart(self) -> float:
        """Return the mean distance of the pixels under the map, local light and contrast aside."""
        laid = self.overlay
        here, there = (
            overlay.normalised(overlay.grey(plane)) for plane in (laid.original, laid.picture)
        )
        apart = np.abs(here + there if self.points.negative else here - there)
        return float(apart[laid.mask].mean()) if laid.mask.any() else 0.0


def find(
    query: Side, original: Side, policy: Policy, *, negatives: bool = True, likely: bool = False
) -> SharedRegion | None:
    """Return the best hypothesis of a shared region; None if chance would give as good a map.

    Without `negatives`, reversed brightness is tried only where straight matches follow a map. A
    `likely` pair is looked at again, reduced, before it is given up. Pure and deterministic.
    `confirms` decides about the result.
    """
    best = _best(query, original, policy, negatives=negatives)
    if not likely or (best is not None and confirms(best, policy)):
        return best
    rows = np.empty((0, 2), np.intp) if best is None else best.points.pairs
    for factor in _REDUCED:
        here, there = query.reduced(factor), original.reduced(factor)
        found = _best(here, there, policy, negatives=negatives)
        if found is not None and _confirms_reduced(found, policy):
            # rows of the keypoints that are kept, not of those made here
            return replace(found, points=replace(found.points, pairs=rows))
    return best


def _best(query: Side, original: Side, policy: Policy, *, negatives: bool) -> SharedRegion | None:
    best: SharedRegion | None = None
    for found in _maps(query, original, policy, negatives=negatives):
        for trial in _trials(query, original, found, policy):
            if best is None or _rank(trial, policy) > _rank(best, policy):
                best = trial
        if best is not None and best.points.log_nfa < policy.certain and best.blocks.agreeing:
            break
    return best


def confirms(region: SharedRegion, policy: Policy) -> bool:
    """Return whether a region is shared beyond chance; nothing is confirmed without matches.

    Many matches only need the region to exist in the pixels. The fewer they are, the more of the
    blocks must agree, so that outlines of different goods are no region.
    """
    nfa, blocks = region.points.log_nfa, region.blocks
    if nfa <= policy.certain:
        return blocks.agreeing >= policy.blocks
    if blocks.strong < policy.strong_blocks:
        return False
    probable = (
        nfa <= policy.probable
        and blocks.inner_agreeing >= policy.inner_blocks
        and blocks.inner_share >= policy.inner_share
    )
    outlined = (
        nfa <= policy.outlined
        and blocks.share >= policy.outlined_share
        and blocks.correlation >= policy.outlined_correlation
    )
    possible = (
        nfa <= policy.possible
        and blocks.share >= policy.possible_share
        and blocks.inner_strong >= policy.strong_blocks
        and blocks.inner_share >= policy.possible_share
    )
    return probable or outlined or possible


def _confirms_reduced(region: SharedRegion, policy: Policy) -> bool:
    """Return whether a region of reduced pictures is shared; it needs matches and inner blocks.

    Measured: `confirms` alone took outlines of different goods, of -13 at best or 0.52 of the inner
    blocks; the mosaics and blurs that pass have -25 to -66 and 0.75 to 0.99.
    """
    certain = region.points.log_nfa <= policy.certain
    return certain and region.blocks.inner_share >= policy.inner_share and confirms(region, policy)


def _rank(region: SharedRegion, policy: Policy) -> tuple[bool, float]:
    """Rank the hypotheses of one pair: confirmed ones, then by agreeing blocks and matches."""
    blocks = region.blocks
    weight = blocks.inner_strong + 0.3 * blocks.agreeing + region.points.inliers
    return confirms(region, policy), weight


def _maps(
    query: Side, original: Side, policy: Policy, *, negatives: bool
) -> Iterator[PointAgreement]:
    """Yield the maps worth laying, the likeliest first; at most two, and a closer look at one."""
    found = point_agreement.agreements(
        query.points,
        original.points,
        policy.ratio,
        policy.tolerance,
        certain=policy.settled,
        negatives=negatives,
    )
    if not found:
        return
    first = found[0]
    if policy.certain < first.log_nfa <= policy.hopeful:
        closer = _closer_look(query, original, first, policy)
        if closer is not None and closer.log_nfa < first.log_nfa:
            yield closer
    for one in found[:2]:
        if one.log_nfa > policy.chance:
            return
        yield one


def _trials(
    query: Side, original: Side, found: PointAgreement, policy: Policy
) -> Iterator[SharedRegion]:
    """Lay the picture by a map, and by the same map with a small deformation where blocks ask."""
    laid = overlay.lay(query.pixels, original.pixels, found.matrix)
    if laid is None:
        return
    straight = SharedRegion.of(found, laid)
    blocks = straight.blocks
    yield straight
    if blocks.share < policy.even_share or found.log_nfa > policy.bent:
        bent = SharedRegion.of(found, overlay.deformed(laid, negative=found.negative))
        if bent.blocks.share >= blocks.share + _BENT:
            yield bent


def _closer_look(
    query: Side, original: Side, found: PointAgreement, policy: Policy
) -> PointAgreement | None:
    """Match once more what is a small part of one of the two, enlarged; None if it is no part."""
    shape = homography.overlap(found.matrix, query.size, original.size)
    if not len(shape):
        return None
    there = _part(original, shape)
    here = _part(query, homography.project(homography.invert(found.matrix), shape))
    if here is None and there is None:
        return None
    asked = here[0] if here else query.points
    points, area = there or (original.points, float(original.size[0] * original.size[1]))
    again = point_agreement.agreements(
        asked, points, policy.ratio, _PART_TOLERANCE, certain=policy.settled
    )
    for one in again:
        if one.mirrored == found.mirrored:
            nfa = point_agreement.log_nfa(
                one.inliers, one.tentative, one.sample, area, _PART_TOLERANCE
            )
            return replace(one, log_nfa=nfa, area=area, pairs=found.pairs)
    return None


def _part(side: Side, shape: homography.Points) -> tuple[MatchedPoints, float] | None:
    """Return the keypoints of a part, enlarged, in the picture's own pixels, and the part's area.

    None if the part is most of the picture, or too small.
    """
    low, high = shape.min(axis=0), shape.max(axis=0)
    margin = _PART_MARGIN * (high - low)
    left, top = np.maximum(low - margin, 0).astype(int).tolist()
    right, bottom = np.minimum(high + margin, side.size).astype(int).tolist()
    wide, high_ = right - left, bottom - top
    if wide * high_ > _PART_MOST * side.size[0] * side.size[1]:
        return None
    if min(wide, high_) < overlay.LEAST:
        return None
    factor = min(_PART_ENLARGED, _PART_SIDE / max(wide, high_))
    cut = side.pixels[top:bottom, left:right]
    enlarged = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    made = keypoints.unpack(keypoints.detail(np.asarray(enlarged, np.uint8), _PART_POINTS))
    return _placed(made, factor, side.size, (left, top)), float(wide * high_)


def _placed(
    made: MatchedPoints, factor: float, size: Size, corner: tuple[int, int] = (0, 0)
) -> MatchedPoints:
    """Place keypoints of a part, resized by `factor`, in the whole picture."""
    points = made.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) / factor - 0.5 + corner
    points[:, 2] /= factor
    return replace(made, points=points, width=size[0], height=size[1])
