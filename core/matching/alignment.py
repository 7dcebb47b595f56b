"""Alignment of a picture with a candidate, which confirms or rejects a copy with evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.fingerprint import keypoints
from core.fingerprint.keypoints import DetailKeypoints
from core.fingerprint.phash import hamming
from core.matching import affine, block_comparison
from core.matching.affine import Map, Size
from core.matching.block_comparison import OverlaidPair
from core.matching.block_decision import BlockDecision, judge
from core.matching.explanation import words
from core.matching.policy import Policy
from core.types import Comparison, Evidence, Hit, Pixels, Signal, Transform, Turn, Uncompared

TURNS: tuple[Turn, ...] = get_args(Turn)


class AlignedPicture(Struct, frozen=True, kw_only=True):
    """One side of a comparison: pixels, hashes and keypoints."""

    preview: Pixels
    """Preview with a long side of at most 512 pixels."""
    width: int
    height: int
    """Height of the whole picture, in pixels."""
    uncompared: tuple[Uncompared, ...] = ()
    turns: tuple[str, ...]
    """phash of the eight turns, 16 hex digits each; for a candidate only the first is read."""
    detail: Callable[[], DetailKeypoints]
    """Loader of keypoints, called at most once, and only when needed; it may store its result."""


class _Trial(Struct, frozen=True):
    laid: OverlaidPair
    judgement: BlockDecision
    inliers: int | None = None

    @property
    def rank(self) -> tuple[bool, bool, float, int]:
        verdict = self.judgement
        return verdict.confirmed, not verdict.changed, verdict.overlap, verdict.agreeing


def align(query: AlignedPicture, candidate: AlignedPicture, hit: Hit, policy: Policy) -> Comparison:
    """Align the query with the candidate by the closest turn, else by keypoints; compare.

    Pure and deterministic: the same two pictures always give the same result, in any thread.
    """
    size = _size(query.preview), _size(candidate.preview)
    distances = [hamming(turn, candidate.turns[0]) for turn in query.turns]
    nearest = int(np.argmin(distances))
    turned = (affine.turned(turn, *size) for turn in _turns(distances, policy))
    best = _best(*(_try(query, candidate, matrix, policy) for matrix in turned))
    if not _clean(best):
        for fit in _fits(query, candidate, policy, mirrored=hit.mirrored):
            best = _best(best, _try(query, candidate, fit.matrix, policy, fit.inliers))
            if _clean(best):
                break
    return _comparison(query, candidate, hit, policy, best, distances[nearest], nearest)


def _size(pixels: Pixels) -> Size:
    return pixels.shape[1], pixels.shape[0]


def _turns(distances: list[int], policy: Policy) -> list[int]:
    """Return the turns worth trying, closest first; at most two."""
    reach = min(policy.turn_radius, min(distances) + policy.turn_slack)
    near = [turn for turn, bits in enumerate(distances) if bits <= reach]
    return sorted(near, key=lambda turn: (distances[turn], turn))[:2]


def _clean(best: _Trial | None) -> bool:
    """Return whether the trial is confirmed without any change to explain."""
    return best is not None and best.judgement.confirmed and not best.judgement.changed


def _fits(
    query: AlignedPicture, candidate: AlignedPicture, policy: Policy, *, mirrored: bool
) -> Iterator[affine.AffineFit]:
    """Yield the maps of keypoints, of the picture and of its mirror image; the likelier first."""
    here, there = keypoints.unpack(query.detail()), keypoints.unpack(candidate.detail())
    for flipped in (mirrored, not mirrored):
        points = keypoints.mirror(here) if flipped else here
        pairs, _ = keypoints.match(points, there, policy.ratio)
        fit = affine.from_points(
            points.points[pairs[:, 0]], there.points[pairs[:, 1]], policy.inliers, policy.tolerance
        )
        if fit is not None and flipped:
            matrix = affine.compose(fit.matrix, affine.mirroring(here.width))
            fit = affine.AffineFit(matrix=matrix, inliers=fit.inliers)
        if fit is not None:
            yield fit


def _try(
    query: AlignedPicture,
    candidate: AlignedPicture,
    matrix: Map,
    policy: Policy,
    inliers: int | None = None,
) -> _Trial | None:
    laid = block_comparison.lay(query.preview, candidate.preview, matrix, policy.drift)
    if laid is None:
        return None
    return _Trial(laid=laid, judgement=judge(laid, policy), inliers=inliers)


def _best(*trials: _Trial | None) -> _Trial | None:
    """Return the trial that ranks highest, the first of equals."""
    return max(filter(None, trials), key=lambda trial: trial.rank, default=None)


def _comparison(  # noqa: PLR0917 - private, one caller
    query: AlignedPicture,
    candidate: AlignedPicture,
    hit: Hit,
    policy: Policy,
    best: _Trial | None,
    hamming: int,
    turn: int,
) -> Comparison:
    """Return the best trial as evidence: in numbers, and where it confirms, in words."""
    confirmed = best is not None and best.judgement.confirmed
    evidence = Evidence(
        signals=_signals(hit, close=hamming <= policy.phash_radius, confirmed=confirmed),
        hamming=hamming,
        turn=TURNS[turn] if hamming <= policy.turn_radius else None,
        similarity=hit.similarity,
        votes=hit.votes,
        inliers=best.inliers if best else None,
        overlap=best.judgement.overlap if best else None,
    )
    if best is None or not confirmed:
        return Comparison(relation="unrelated", evidence=evidence)
    laid, judgement = best.laid, best.judgement
    transform, stretch = _transform(query, candidate, laid)
    uncompared = tuple(dict.fromkeys((*query.uncompared, *candidate.uncompared)))
    said = words(
        transform,
        judgement.changed,
        framed=_framed(query, candidate, laid.matrix),
        veiled=judgement.veiled,
        stretch=stretch,
        gain=laid.light.gain,
        offset=laid.light.offset,
        saturation=laid.light.saturation,
        sharpness=laid.sharpness,
        uncompared=uncompared,
    )
    evidence = replace(
        evidence,
        transform=transform,
        changed_regions=judgement.changed,
        changed_share=judgement.changed_share,
        uncompared=uncompared,
        words=said,
    )
    return Comparison(relation="copy", evidence=evidence)


def _signals(hit: Hit, *, close: bool, confirmed: bool) -> tuple[Signal, ...]:
    """Return the names of what found the two alike."""
    found: dict[Signal, bool] = {
        "phash": close,
        "visual": hit.similarity is not None,
        "features": hit.votes is not None,
        "alignment": confirmed,
    }
    return tuple(name for name, flag in found.items() if flag)


def _transform(
    query: AlignedPicture, candidate: AlignedPicture, laid: OverlaidPair
) -> tuple[Transform, float]:
    """Return the map as a `Transform` of the API, and the ratio of its two scales."""
    (w, h), (cw, ch) = _size(query.preview), _size(candidate.preview)
    matrix = laid.matrix
    linear = matrix[:, :2]
    mirrored = bool(np.linalg.det(linear) < 0)
    upright = linear @ np.diag([-1.0, 1.0]) if mirrored else linear
    # the turn nearest to a linear map: of its polar form
    rotation = math.degrees(
        math.atan2(upright[0, 1] - upright[1, 0], upright[0, 0] + upright[1, 1])
    )
    values = np.linalg.svd(linear, compute_uv=False)
    preview = math.sqrt(abs(float(np.linalg.det(linear))))
    scale = preview * (candidate.width / cw) / (query.width / w)
    corner = affine.apply(matrix, np.array([[-0.5, -0.5]]))[0] + 0.5
    shares = linear @ np.diag([float(w), float(h)]) / np.array([[cw], [ch]])
    a, b, d, e = (round(float(value), 5) for value in shares.ravel())
    c, f = round(float(corner[0]) / cw, 5), round(float(corner[1]) / ch, 5)
    transform = Transform(
        mirrored=mirrored,
        rotation=round(rotation, 1) + 0.0,
        scale=round(scale, 3),
        seen=round(laid.seen, 4),
        filled=round(laid.filled, 4),
        matrix=(a, b, c, d, e, f),
    )
    return transform, float(values[0] / values[1])


def _framed(query: AlignedPicture, candidate: AlignedPicture, matrix: Map) -> bool:
    """Return whether the picture extends around the original, not only at rotated corners."""
    width, height = _size(query.preview)
    shape = affine.polygon(affine.invert(matrix), _size(candidate.preview), (width, height))
    if not len(shape):
        return False
    reach = (shape.max(axis=0) - shape.min(axis=0)) / (width, height)
    return bool(reach.min() < 0.97)  # noqa: PLR2004 - JPEG and rounding leave 1 %
