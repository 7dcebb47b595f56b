"""Colour transfer: an original in the light of its copy, by matrix, tone curves and a field."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

_SAMPLES = 128
"""Long side of the samples to which the matrix and the curves are fitted, in pixels; a strip has a
quarter on its short side, or the print of a long page would vanish in its samples."""
_FEW = 60
"""Samples under which the light is assumed to be the same."""
_WHOLE = 0.98
"""Share of a sample that must be inside both pictures."""
_ROUNDS = 6
_NEAR = 6.0
"""Grey levels of difference at which a sample has half its weight, at least."""
_RIDGE = 30.0
"""Ridge of the colour matrix, in squared levels: a grey original defines no colour."""
_BINS = 48
"""Bins of a tone curve."""
_FIELD = 0.12
"""Deviation of the smooth light field, as a share of the long side: vignettes are wider, and what
is laid over is narrower."""
_TRUSTED = 10.0
"""Grey levels of difference up to which a pixel belongs to the light field, at least."""
_FIELD_GRID = 112
"""Long side of the grid in which the field is fitted, in pixels, likewise: it is smooth."""
_REDUCED = 4.0
"""Least reduction to that grid."""
_FIELD_ROUNDS = 2
_STIFF = 100.0
"""Variance in squared levels below which a neighbourhood says nothing of its gain."""
_GAINS = (0.2, 3.0)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(plane: Floats) -> Floats:
    """Return the grey of an (h, w, 3) plane, (h, w)."""
    return np.asarray(plane @ LUMA)


def largest(plane: Floats) -> Floats:
    """Return the largest of the three channels; numpy's own `max` takes ten times as long."""
    return np.maximum(np.maximum(plane[..., 0], plane[..., 1]), plane[..., 2])


def relight(original: Floats, picture: Floats, mask: Flags) -> Floats:
    """Return the original in the picture's light.

    Colour matrix, then a tone curve a channel, then smooth fields of gain and offset, each fitted
    robustly, so that matter laid over does not bend it. Planes are (h, w, 3) float32, 0 to 255.
    """
    x, y = _samples(original, picture, mask)
    if len(x) < _FEW:
        return original
    matrix, weight = _matrix(x, y)
    flat = original.reshape(-1, 3)
    fits = [(x @ matrix[:3] + matrix[3], flat @ matrix[:3] + matrix[3]), (x, flat)]
    tables = []
    for before, _ in fits if _far(fits[0][0], y) else fits[:1]:
        trust = weight if before is not x else np.ones_like(weight)
        tables.append([_curve(before[:, c], y[:, c], trust) for c in range(3)])
    errors = [_error(curves, fits[n][0], y) for n, curves in enumerate(tables)]
    best = int(np.argmin(errors))
    curves, whole = tables[best], fits[best][1]
    lit = np.stack([curves[c][_steps(whole[:, c])] for c in range(3)], axis=1)
    lit = lit.reshape(original.shape)
    lit = _locally(lit, picture, mask)
    return np.asarray(np.clip(lit, 0, 255))


def _samples(original: Floats, picture: Floats, mask: Flags) -> tuple[Floats, Floats]:
    height, width = mask.shape
    step = max(1, min(max(height, width) // _SAMPLES, min(height, width) // (_SAMPLES // 4)))
    size = max(8, width // step), max(8, height // step)
    x, y = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (original, picture))
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > _WHOLE
    return np.asarray(x[inside]), np.asarray(y[inside])


def _matrix(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Fit the (4, 3) affine colour map that most samples agree on, and their weights."""
    weight = np.ones(len(x), np.float32)
    padded = np.column_stack([x, np.ones(len(x), np.float32)])
    ridge = np.diag([_RIDGE, _RIDGE, _RIDGE, 1e-3])
    matrix = np.zeros((4, 3))
    for _ in range(_ROUNDS):
        weighted = padded * weight[:, None]
        matrix = np.linalg.solve(weighted.T @ padded + ridge, weighted.T @ y)
        error = largest(np.abs(padded @ matrix - y))
        near = max(_NEAR, 1.5 * float(np.median(error)))
        weight = np.maximum(1 / (1 + (error / near) ** 2), 1e-4)
    return matrix.astype(np.float32), weight.astype(np.float32)


def _far(x: Floats, y: Floats) -> bool:
    """Return whether a matrix leaves so much that no matrix may hold, as of a solarised picture."""
    return float(np.median(np.abs(x - y))) > _NEAR


def _curve(x: Floats, y: Floats, weight: Floats) -> Floats:
    """Return the tone curve of y over x as a table of `_steps`: weighted means, linear between."""
    bins = (x * (_BINS / 256)).astype(int).clip(0, _BINS - 1)
    count = np.bincount(bins, weight, _BINS)
    total = np.bincount(bins, weight * y, _BINS)
    known = count > 3  # noqa: PLR2004 - a mean of fewer samples is noise
    levels = np.arange(-64, 320, dtype=np.float32)
    if int(known.sum()) < 2:  # noqa: PLR2004 - one point defines no curve
        return np.asarray(levels + np.float32(np.median(y) - np.median(x)))
    middle = (np.arange(_BINS) + 0.5) * (256 / _BINS)
    return np.interp(levels, middle[known], total[known] / count[known]).astype(np.float32)


def _steps(x: Floats) -> NDArray[np.int32]:
    """Return the places of levels in a tone curve's table."""
    return (x + 64.5).astype(np.int32).clip(0, 383)


def _error(curves: list[Floats], x: Floats, y: Floats) -> float:
    """Return the median distance of (n, 3) samples from their tone curves."""
    off = [np.abs(curves[c][_steps(x[:, c])] - y[:, c]) for c in range(3)]
    return float(np.median(np.max(off, axis=0)))


def _locally(lit: Floats, picture: Floats, mask: Flags) -> Floats:
    """Bring a plane into light that varies smoothly: a line a channel over wide neighbourhoods.

    Vignettes and veils change the gain, leaks the offset. Pixels far from the present fit have
    little weight, so that what is laid over has none.
    """
    height, width = mask.shape
    reduced = min(max(height, width) / _FIELD_GRID, min(height, width) / (_FIELD_GRID // 4))
    reduced = max(_REDUCED, reduced)
    small = max(8, round(width / reduced)), max(8, round(height / reduced))
    sigma = max(height, width) * _FIELD / reduced
    x, y, inside = (
        cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        for plane in (lit, picture, mask.astype(np.float32))
    )
    now = x
    for _ in range(_FIELD_ROUNDS):
        off = largest(np.abs(y - now))
        middle = float(np.median(off[inside > 0])) if (inside > 0).any() else 0.0
        trust = inside / (1 + (off / max(_TRUSTED, 2 * middle)) ** 2)
        trust = trust[..., None] + np.float32(1e-6)
        stack = np.concatenate([trust, trust * x, trust * y, trust * x * x, trust * x * y], axis=2)
        stack = np.asarray(cv2.GaussianBlur(stack, (0, 0), sigma), np.float32)
        mx, my, xx, xy = (stack[..., k : k + 3] / stack[..., :1] for k in (1, 4, 7, 10))
        gain = (xy - mx * my + _STIFF) / (xx - mx * mx + _STIFF)
        gain = np.clip(gain, *_GAINS)
        offset = my - gain * mx
        now = gain * x + offset
    gain, offset = (cv2.resize(z, (width, height)) for z in (gain, offset))
    return np.asarray(lit * gain + offset, np.float32)
