"""Alignment of a picture with a candidate: a copy, a variant or unrelated, with evidence.

Two questions, kept apart: is a region of the picture a region of the other (`regions`), and what
differs inside and around it (`differences`)?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.evidence import Comparison, Evidence, Signal, Statement, Support, Turn, Uncompared
from core.fingerprint import keypoints
from core.fingerprint.keypoints import DetailKeypoints
from core.fingerprint.phash import hamming
from core.matching.common_points import rests_on_common
from core.matching.differences import pair_geometry
from core.matching.differences.examination import Differences, examine
from core.matching.differences.statements import CHANGES, statements
from core.matching.differences.wording import words
from core.matching.policy import Policy
from core.matching.regions import homography, overlay, plain_pictures, shared_region
from core.matching.regions.homography import Map
from core.matching.regions.overlay import Flow
from core.matching.regions.shared_region import SharedRegion, Side, size_of
from core.types import Hit, Pixels

TURNS: tuple[Turn, ...] = get_args(Turn)

_PLANE = 0.9
"""Share of agreeing blocks from which parallax is only a wave or a lens that was undone."""


class AlignedPicture(Struct, frozen=True, kw_only=True):
    """One side of a comparison: pixels, hashes and keypoints."""

    preview: Pixels
    """Preview with a long side of at most 512 pixels, or of a strip with a short side of 128."""
    width: int
    height: int
    """Height of the whole picture, in pixels."""
    uncompared: tuple[Uncompared, ...] = ()
    turns: tuple[str, ...]
    """phash of the eight turns, 16 hex digits each; for a candidate only the first is read."""
    detail: Callable[[], DetailKeypoints]
    """Loader of keypoints, called at most once, and only when needed; it may store its result."""
    large: Callable[[], Pixels | None] = lambda: None
    """Loader of the large preview of a drawn picture, None where there is none: sides up to 1,600
    pixels, as `large_preview.enlarged` has them."""


class _Found(Struct, frozen=True):
    """A shared region as the evidence needs it."""

    matrix: Map
    apart: float = 0.0
    """Mean distance of the pixels under it, light aside; the order in which they are examined."""
    support: Support | None = None
    view: bool = False
    """Whether keypoints moved along one line, as in views from two places; in drawn pictures, print
    that moved."""
    negative: bool = False
    flow: Flow | None = None
    inliers: int | None = None
    overlap: float | None = None


class _Located(Struct, frozen=True):
    """The answer to the first question for one candidate."""

    found: _Found | None
    """Region that is shared beyond chance, None if there is none."""
    evidence: Evidence
    support: Support | None
    """Keypoints of the best region that was tried."""


def align(query: AlignedPicture, candidate: AlignedPicture, hit: Hit, policy: Policy) -> Comparison:
    """Find the region that both pictures share, then what differs in it.

    Pure and deterministic: the same two pictures always give the same result, in any thread.
    """
    (comparison,) = align_all(query, [(candidate, hit)], policy)
    return comparison


def align_all(
    query: AlignedPicture, candidates: Sequence[tuple[AlignedPicture, Hit]], policy: Policy
) -> list[Comparison]:
    """Align a picture with candidates, in order; examine the closest of a template alone.

    A picture whose layout a thousand others share has as many candidates as there may be, and to
    examine one takes a tenth of a second. So the closest pixels come first, and what rests on
    keypoints that `policy.examined` variants explain is another variant of the same layout.
    """
    side = _side(query)
    located = [_locate(query, side, candidate, hit, policy) for candidate, hit in candidates]
    results = [Comparison("unrelated", one.evidence, one.support) for one in located]
    regions = [(n, one.found) for n, one in enumerate(located) if one.found is not None]
    explained: Counter[int] = Counter()
    for n, found in sorted(regions, key=lambda region: region[1].apart):
        evidence = located[n].evidence
        support = found.support
        if support and rests_on_common(support, explained, policy.examined - 1, policy):
            results[n] = _same_layout(evidence, support)
            continue
        results[n] = _examined(query, candidates[n][0], found, evidence)
        if support and results[n].relation == "variant":
            explained.update(support.points)
    return results


def _same_layout(evidence: Evidence, support: Support) -> Comparison:
    said = (Statement("same_layout"),)
    return Comparison("variant", replace(evidence, statements=said, words=words(said)), support)


def _side(picture: AlignedPicture) -> Side:
    return Side(picture.preview, keypoints.unpack(picture.detail()))


def _locate(
    query: AlignedPicture, side: Side, candidate: AlignedPicture, hit: Hit, policy: Policy
) -> _Located:
    """Find the region that a picture shares with one candidate, and measure its evidence."""
    distances = [hamming(turn, candidate.turns[0]) for turn in query.turns]
    turn = int(np.argmin(distances))
    evidence = Evidence(
        hamming=distances[turn],
        turn=TURNS[turn] if distances[turn] <= policy.turn_radius else None,
        similarity=hit.similarity,
        votes=hit.votes,
    )
    negatives = hit.negative or hit.votes is None
    found, tried = _shared(
        side,
        _side(candidate),
        turn,
        policy,
        close=evidence.turn is not None,
        negatives=negatives,
        likely=(hit.votes or 0) >= policy.likely_votes,
    )
    if tried is not None:
        evidence = replace(evidence, inliers=tried.inliers, overlap=tried.overlap)
    close = distances[turn] <= policy.phash_radius
    signals = _signals(hit, close=close, aligned=found is not None)
    return _Located(
        found, replace(evidence, signals=signals), None if tried is None else tried.support
    )


def _shared(
    here: Side,
    there: Side,
    turn: int,
    policy: Policy,
    *,
    close: bool,
    negatives: bool,
    likely: bool,
) -> tuple[_Found | None, _Found | None]:
    """Return the region that is shared beyond chance, and the best one that was tried.

    `close`: the hashes are, under `turn`. `negatives`: the words do not say that the brightness is
    as it was. `likely`: so many words agree on one place that a second look is due.
    """
    if max(len(here.points.points), len(there.points.points)) < plain_pictures.FEW:
        same = plain_pictures.turn_of(here.pixels, there.pixels)
        if same is None:
            return None, None
        whole = _Found(plain_pictures.turned_map(same, here.size, there.size), overlap=1.0)
        return whole, whole
    best = shared_region.find(here, there, policy, negatives=negatives, likely=likely)
    if best is not None and shared_region.confirms(best, policy):
        return (_found(best),) * 2
    if close and homography.squeeze(here.size, there.size, turn) >= policy.squeezed:
        squeezed = _squeezed(here, there, turn, policy)
        if squeezed is not None:
            return (replace(_found(squeezed), support=None),) * 2
    return None, None if best is None else _found(best)


def _found(shared: SharedRegion) -> _Found:
    return _Found(
        matrix=shared.points.matrix,
        apart=shared.apart(),
        support=_support(shared),
        view=shared.points.sideways and shared.blocks.share < _PLANE,
        negative=shared.points.negative,
        flow=shared.overlay.flow,
        inliers=shared.points.inliers,
        overlap=round(shared.blocks.share, 4),
    )


def _support(shared: SharedRegion) -> Support:
    points = shared.points
    rows = tuple(np.unique(points.pairs[:, 0]).tolist())
    return Support(
        points=rows,
        log_nfa=points.log_nfa,
        tentative=max(points.tentative, len(rows)),
        sample=points.sample,
        area=points.area,
    )


def _squeezed(query: Side, original: Side, turn: int, policy: Policy) -> SharedRegion | None:
    """Match a whole picture after resizing it to the original's shape; None if not confirmed."""
    shape = original.size if turn % 2 == 0 else original.size[::-1]
    pixels = overlay.resized(query.pixels, shape)
    resized = Side(pixels, keypoints.unpack(keypoints.detail(pixels)))
    found = shared_region.find(resized, original, policy)
    if found is None or not shared_region.confirms(found, policy):
        return None
    onto = homography.invert(homography.resizing(query.size, shape))
    matrix = found.points.matrix @ onto
    return replace(found, points=replace(found.points, matrix=matrix / matrix[2, 2]))


def _signals(hit: Hit, *, close: bool, aligned: bool) -> tuple[Signal, ...]:
    """Return the names of what found the two alike."""
    found: dict[Signal, bool] = {
        "phash": close,
        "visual": hit.similarity is not None,
        "features": hit.votes is not None,
        "alignment": aligned,
    }
    return tuple(name for name, flag in found.items() if flag)


def _examined(
    query: AlignedPicture, candidate: AlignedPicture, found: _Found, evidence: Evidence
) -> Comparison:
    """Tell a copy from a variant by what differs in the shared region, and state it."""
    geometry = pair_geometry.locate(
        query.preview,
        candidate.preview,
        found.matrix,
        query_size=(query.width, query.height),
        original_size=(candidate.width, candidate.height),
    )
    if geometry is None:
        return Comparison("unrelated", evidence)
    seen = _differences(query, candidate, found)
    uncompared = tuple(dict.fromkeys((*query.uncompared, *candidate.uncompared)))
    said = statements(geometry, seen, uncompared, negative=found.negative)
    view = found.view and not (seen.measurement is not None and seen.measurement.drawn)
    if view:
        said = (Statement("other_view"), *(one for one in said if one.code not in CHANGES))
    variant = view or seen.finding in {"variant", "recoloured"}
    return Comparison(
        "variant" if variant else "copy",
        support=found.support,
        evidence=replace(
            evidence,
            transform=geometry.transform,
            changed_regions=seen.changed,
            changed_share=seen.changed_share,
            uncompared=uncompared,
            statements=said,
            words=words(said),
        ),
    )


def _differences(query: AlignedPicture, candidate: AlignedPicture, found: _Found) -> Differences:
    """Compare the previews, then the large ones of drawn pictures in which no content differs.

    Print is too small to be compared at 512 pixels; content that differs there needs no more.
    """
    seen = examine(query.preview, candidate.preview, found.matrix, found.flow)
    if seen.finding == "recoloured" or (seen.finding == "variant" and not seen.small_print):
        return seen
    here, there = query.large(), candidate.large()
    if here is None or there is None:
        return seen
    shrink = homography.resizing(size_of(query.preview), size_of(here))
    grow = homography.resizing(size_of(there), size_of(candidate.preview))
    matrix = grow @ found.matrix @ shrink
    return examine(here, there, matrix, found.flow)
