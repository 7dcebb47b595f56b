"""Position of a picture in an original's frame: turn, stretch, slant, and what surrounds it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from msgspec import Struct

from core.evidence import Transform
from core.matching.differences import picture_continuity
from core.matching.regions.homography import Map, Points, area, corners, invert, overlap, project
from core.types import Pixels

Surroundings = Literal["none", "picture", "frame"]
"""Matter of the query around the original: none, more of the same picture, or something else."""

_AROUND, _FILLED = 0.97, 0.95
"""Share of the query's width and height, and of its area, above which nothing is around: JPEG and
rounding leave 1 %."""


class PairGeometry(Struct, frozen=True):
    """Position of a picture in the original's frame, and its departure from a similarity."""

    transform: Transform
    stretch: float
    """Ratio of the two scales of the nearest affine map, at least 1."""
    slant: float
    """Change of scale over the overlap by perspective, as a share: 0 of an affine map."""
    surroundings: Surroundings


def locate(
    query: Pixels,
    original: Pixels,
    homography: Map,
    *,
    query_size: tuple[int, int],
    original_size: tuple[int, int],
) -> PairGeometry | None:
    """Describe a homography between two previews; sizes are width and height of whole pictures.

    None if the two do not overlap, or the homography folds the picture.
    """
    (h, w), (ch, cw) = query.shape[:2], original.shape[:2]
    shape = overlap(homography, (w, h), (cw, ch))
    if not len(shape):
        return None
    inverse = invert(homography)
    inner = project(inverse, shape)
    affine = _affine(inner, homography)
    linear = affine[:, :2]
    mirrored = bool(np.linalg.det(linear) < 0)
    upright = linear @ np.diag([-1.0, 1.0]) if mirrored else linear
    # the turn nearest to a linear map: of its polar form
    turn = math.atan2(upright[0, 1] - upright[1, 0], upright[0, 0] + upright[1, 1])
    values = np.linalg.svd(linear, compute_uv=False)
    scale = math.sqrt(abs(float(np.linalg.det(linear))))
    scale *= (original_size[0] / cw) / (query_size[0] / w)
    shares = _shares(homography, (w, h), (cw, ch))
    flat = _shares(np.vstack([affine, [0, 0, 1]]), (w, h), (cw, ch))
    a, b, c, d, e, f = (round(float(value), 5) for value in flat[:2].ravel())
    transform = Transform(
        mirrored=mirrored,
        rotation=round(math.degrees(turn), 1) + 0.0,
        scale=round(scale, 3),
        seen=round(min(1.0, area(shape) / (cw * ch)), 4),
        filled=round(min(1.0, area(inner) / (w * h)), 4),
        matrix=(a, b, c, d, e, f),
        homography=tuple(round(float(value), 6) for value in shares.ravel()),  # type: ignore[arg-type] # nine numbers
    )
    return PairGeometry(
        transform=transform,
        stretch=float(values[0] / values[1]),
        # over what is shared: beyond it, the error of the map of a small part grows
        slant=float((np.abs(shares[2, :2]) * np.ptp(inner, axis=0) / (w, h)).max()),
        surroundings=_surroundings(query, original, homography, area(inner) / (w * h)),
    )


def _affine(inner: Points, homography: Map) -> Map:
    """Return the (2, 3) affine map nearest to a homography over a polygon of the query."""
    low, high = inner.min(axis=0), inner.max(axis=0)
    x, y = np.meshgrid(*(np.linspace(low[axis], high[axis], 7) for axis in (0, 1)))
    points = np.column_stack([x.ravel(), y.ravel()])
    padded = np.column_stack([points, np.ones(len(points))])
    found, *_ = np.linalg.lstsq(padded, project(homography, points), rcond=None)
    return np.asarray(found.T)


def _shares(matrix: Map, query: tuple[int, int], original: tuple[int, int]) -> Map:
    """Convert a map of pixels, whose centres are whole numbers, to one of shares of the sides."""
    onto = np.array([[query[0], 0, -0.5], [0, query[1], -0.5], [0, 0, 1]])
    back = np.array(
        [
            [1 / original[0], 0, 0.5 / original[0]],
            [0, 1 / original[1], 0.5 / original[1]],
            [0, 0, 1],
        ]
    )
    whole = back @ matrix @ onto
    return np.asarray(whole / whole[2, 2])


def _surroundings(query: Pixels, original: Pixels, homography: Map, filled: float) -> Surroundings:
    """Return whether more of the same picture or other matter is around the original."""
    inverse = invert(homography)
    frame = corners((original.shape[1], original.shape[0]))
    depth = np.column_stack([frame, np.ones(4)]) @ inverse[2]
    if (depth * depth[0] <= 0).any():
        return "none"
    border = project(inverse, frame)
    size = np.array([query.shape[1], query.shape[0]])
    inside = np.clip(border, -0.5, size - 0.5)
    reach = (np.ptp(inside, axis=0) / size).min()
    if reach >= _AROUND and filled >= _FILLED:
        return "none"
    return "picture" if picture_continuity.continues(query, border) else "frame"
