"""Change of colours between two aligned pictures as a whole: hue turn, tint, loss."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching.regions.overlay import Flags, Floats


class Colours(Struct, frozen=True):
    """Change of colours as a whole: Lab of samples, nothing fitted but one complex factor."""

    turn: float = 0.0
    """Degrees by which hues turned, by regression; a tint is the offset and does not count."""
    explained: float = 1.0
    """Share of the variance of colours that the turn explains."""
    power: float = 1.0
    """Variance of the picture's colours as a multiple of the original's."""
    variance: float = 0.0
    """Variance of the original's colours, in squared Lab units."""
    colourful: tuple[float, float] = (0.0, 0.0)
    """98th percentile of the chroma of original and picture."""
    cast: float = 0.0
    """Distance in Lab by which the mean colour moved."""
    dyed: float = 0.0
    """Mean distance of colours off the ground that no change of saturation explains, in Lab."""
    ground: float = 0.0
    """Median distance of colours on the ground; a filter moves it, other goods do not."""
    lightness: float = 0.0
    """Mean distance of lightness off the ground."""
    lightened: float = 0.0
    """Mean change of lightness off the ground."""


def measure_colours(original: Floats, picture: Floats, mask: Flags) -> Colours:
    """Measure the change of colours on samples of 4 x 4 pixels."""
    height, width = mask.shape
    size = max(8, width // 4), max(8, height // 4)
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.9  # noqa: PLR2004
    if inside.sum() < 30:  # noqa: PLR2004 - too few samples for a regression
        return Colours()
    first, second = (
        cv2.cvtColor(
            cv2.resize(plane, size, interpolation=cv2.INTER_AREA) / np.float32(255),
            cv2.COLOR_RGB2LAB,
        )[inside]
        for plane in (original, picture)
    )
    x, y = (lab[:, 1] + 1j * lab[:, 2] for lab in (first, second))
    colourful = float(np.percentile(np.abs(x), 98)), float(np.percentile(np.abs(y), 98))
    u, v = x - x.mean(), y - y.mean()
    variance, power = float((np.abs(u) ** 2).mean()), float((np.abs(v) ** 2).mean())
    factor = complex((np.conj(u) * v).mean())
    distance = np.linalg.norm(first - second, axis=1)
    white = _ground(np.asarray(first, np.float32))
    thing = ~(white & (distance < 4))  # noqa: PLR2004 - a ground that kept its colour
    enough = 12
    lighter = (second - first)[thing, 0] if thing.sum() > enough else np.zeros(1, np.float32)
    return Colours(
        turn=float(np.degrees(np.angle(factor))),
        explained=abs(factor) ** 2 / (variance * power + 1e-6),
        power=power / (variance + 1e-6),
        variance=variance,
        colourful=colourful,
        cast=float(abs(y.mean() - x.mean())),
        dyed=_dyed(x[thing], y[thing]) if thing.sum() > enough else 0.0,
        ground=float(np.median(distance[white])) if white.sum() > enough else 0.0,
        lightness=float(np.abs(lighter).mean()),
        lightened=float(lighter.mean()),
    )


def _ground(lab: Floats) -> Flags:
    """Return which of (n, 3) samples are ground: white, or else the commonest colour."""
    white: Flags = lab[:, 0] > 95  # noqa: PLR2004 - lightness of white ground
    if white.mean() > 0.1:  # noqa: PLR2004 - a page, or goods on white
        return white
    origin = np.array([0, 128, 128])
    bins = ((lab + origin) / 6).astype(int) @ np.array([10_000, 100, 1])
    common = lab[bins == np.bincount(bins).argmax()].mean(axis=0)
    return np.asarray(np.linalg.norm(lab - common, axis=1) < 6)  # noqa: PLR2004 - one bin


def _dyed(x: NDArray[np.complex64], y: NDArray[np.complex64]) -> float:
    """Return how far colours are from a multiple of each other, whichever way is farther."""
    far = []
    for one, other in ((x, y), (y, x)):
        power = float((np.abs(one) ** 2).mean())
        factor = max(0.0, float((np.conj(one) * other).real.mean()) / (power + 1e-6))
        far.append(float(np.abs(other - factor * one).mean()))
    return max(far)
