"""Ground truth of an edit: the statements that hold of it, and their parameters."""

# ruff: noqa: PLR2004 - the bounds between true and false stand where each code does

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from core.evidence import ChangedRegion, ChangeKind, StatementCode
from evaluation.edits.canvas import GRID, Canvas, Floats, Map, levels_of

_SIDE = 256
"""Long side in pixels at which tones are measured."""
_HIDDEN = 0.002
"""Smallest share of the original that counts as a region; 0.2 % is six cells of the grid wide."""
_JOINED = 9
"""Cells of the grid, 7 % of the side, across which changes are joined to one region."""


class Truth(Struct, frozen=True, kw_only=True):
    """Statements and numbers that are true of an edited picture and its original."""

    done: frozenset[StatementCode]
    """Changes made: an explanation should name each."""
    also: frozenset[StatementCode]
    """Further statements that are no fault; all codes outside of both are false."""
    mirrored: bool
    rotation: float
    """Degrees counter-clockwise, after the mirror, as in `Transform`."""
    scale: float
    """Original pixels that a picture pixel covers, in the middle."""
    stretch: float
    """Ratio of the larger scale to the smaller one, at least 1."""
    seen: float
    """Share of the original's area that is left in the picture."""
    within: float
    """Share of it inside the picture's borders: more than `seen` where it was cropped before other
    matter was set beside it, as into the cell of a collage."""
    filled: float
    """Share of the picture that the original fills."""
    homography: tuple[float, ...]
    """Rows of the (3, 3) map from the picture to the original, in shares of their sides; of a bent
    picture that of its middle."""
    regions: tuple[ChangedRegion, ...]
    """Boxes around the changes, in shares of the original."""

    @property
    def true(self) -> frozenset[StatementCode]:
        """Return every code that may be stated."""
        return self.done | self.also


def truth(canvas: Canvas, original: Image.Image) -> Truth:
    """Derive the truth of a finished canvas; geometry from its map, light from the pixels."""
    inverse = np.linalg.inv(canvas.map)
    around, inside = _linear(inverse, canvas), canvas.shown
    mirrored = bool(np.linalg.det(around) < 0)
    upright = around @ np.diag([-1.0, 1.0]) if mirrored else around
    rotation = math.degrees(
        math.atan2(upright[0, 1] - upright[1, 0], upright[0, 0] + upright[1, 1])
    )
    values = np.linalg.svd(around, compute_uv=False)
    shares = np.diag([1 / canvas.size[0], 1 / canvas.size[1], 1.0]) @ inverse
    shares = shares @ np.diag([float(canvas.width), float(canvas.height), 1.0])
    shares /= shares[2, 2]
    beside = _beside(canvas, inverse)
    replaced = np.maximum(canvas.masks.get("replaced", np.zeros_like(beside)), beside)
    held = Truth(
        done=canvas.done,
        also=canvas.also,
        mirrored=mirrored,
        rotation=rotation,
        scale=math.sqrt(abs(float(np.linalg.det(around)))),
        stretch=float(values[0] / values[1]),
        seen=_area(inverse, inside) / (canvas.size[0] * canvas.size[1]),
        within=float(beside.mean()) / 255
        + _area(inverse, inside) / (canvas.size[0] * canvas.size[1]),
        filled=_area(np.eye(3), inside) / (canvas.width * canvas.height),
        homography=tuple(float(value) for value in shares.ravel()),
        regions=_regions({**canvas.masks, "replaced": replaced}),
    )
    spans = inside.max(axis=0) - inside.min(axis=0) if len(inside) else np.zeros(2)
    reach = float((spans / (canvas.width, canvas.height)).min())
    done, also = _geometry(held, float(np.abs(shares[2, :2]).max()), reach)
    surely, perhaps = _light(canvas, original)
    done |= {code for code in canvas.done if code not in _MEASURED or code in surely}
    also |= canvas.done | canvas.also | perhaps
    if canvas.image.mode == "RGBA":
        also |= {"uncompared_transparency"}
    if not done | canvas.done | canvas.also:
        done, also = frozenset({"reencoded"}), also | {"unchanged", "looks_alike"}
    return Truth(**{name: getattr(held, name) for name in _NUMBERS}, done=done, also=also - done)


_NUMBERS = [name for name in Truth.__struct_fields__ if name not in ("done", "also")]


def _geometry(
    held: Truth, slant: float, reach: float
) -> tuple[frozenset[StatementCode], frozenset[StatementCode]]:
    """Return the codes that the map makes true, and those within the measuring error.

    `slant` is the larger of the perspective terms in shares, `reach` the lesser share of the
    picture's width and height that the original spans: black corners are no frame.
    """
    angle = abs((held.rotation + 180) % 360 - 180)
    flat = slant < 0.02  # of a slanted picture neither the turn nor the stretch is one number
    bounds: tuple[tuple[StatementCode, bool, bool], ...] = (
        ("mirrored", held.mirrored, held.mirrored),
        ("turned", angle > (1.5 if flat else 8), angle > 0.4),
        ("cropped", held.within < 0.96, held.seen < 0.99),
        ("framed", reach < 0.95, held.filled < 0.99),
        ("stretched", held.stretch > 1.08 and flat, held.stretch > 1.04),
        ("slanted", slant > 0.05, slant > 0.01),
        ("resized", held.scale > 1.2, held.scale > 1.05),
        ("enlarged", held.scale < 0.83, held.scale < 0.95),
    )
    done = {code for code, surely, _ in bounds if surely}
    also = {code for code, _, perhaps in bounds if perhaps}
    if held.filled < 0.99:
        also |= {"extended"}
    if held.within > held.seen + 0.01:
        also |= {"replaced", "laid_over", "cut_away"}
    return frozenset(done), frozenset(also | {"reencoded"})


_MEASURED: frozenset[StatementCode] = frozenset(
    {
        "brighter", "darker", "more_contrast", "less_contrast", "blurred", "sharpened",
        "without_colours", "tinted", "uneven_light",
    }
)  # fmt: skip
"""Codes of tones: an edit made one of them only if it can be seen, as a clipped picture may not
get brighter, nor one that was grey lose its colours."""


def _light(
    canvas: Canvas, original: Image.Image
) -> tuple[frozenset[StatementCode], frozenset[StatementCode]]:
    """Measure tones where both show the same: those plainly changed, and those changed at all."""
    one, other, shown = _laid(canvas, original)
    if shown.sum() < 100:
        return frozenset(), frozenset()
    grey, before = (_grey(pixels)[shown] for pixels in (one, other))
    colour, ground = (_chroma(pixels)[shown] for pixels in (one, other))
    mean, spread = grey.mean() - before.mean(), (grey.std() + 1) / (before.std() + 1)
    fine = (_fine(one)[shown].mean() + 0.2) / (_fine(other)[shown].mean() + 0.2)
    strength = float(np.abs(colour).mean() + 0.1) / float(np.abs(ground).mean() + 0.1)
    cast = float(np.abs((colour - ground).mean(axis=0)).max())
    uneven = _uneven(one, other, shown)
    left = float(np.percentile(np.abs(colour), 98))
    lost = float(np.percentile(np.abs(ground), 98)) > 10
    found: tuple[tuple[StatementCode, bool, bool], ...] = (
        ("brighter", mean > 12, mean > 5),
        ("darker", mean < -12, mean < -5),
        ("more_contrast", spread > 1.15, spread > 1.06),
        ("less_contrast", spread < 0.87, spread < 0.94),
        ("blurred", fine < 0.65, fine < 0.8),
        ("sharpened", fine > 1.6, fine > 1.2),
        ("without_colours", left < 4 and lost, left < 8),
        ("tinted", cast > 8 or not 0.6 < strength < 1.6, cast > 4 or not 0.8 < strength < 1.25),
        ("uneven_light", uneven > 15, uneven > 8),
    )
    return (
        frozenset(code for code, surely, _ in found if surely),
        frozenset(code for code, _, perhaps in found if perhaps),
    )


def _laid(canvas: Canvas, original: Image.Image) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return both pictures in the original's frame, and where they show the same matter."""
    width, height = canvas.size
    scale = min(1.0, _SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    frame = np.diag([size[0] / width, size[1] / height, 1.0])
    shrunk = min(1.0, math.sqrt(abs(np.linalg.det(_linear(np.linalg.inv(canvas.map), canvas)))))
    levels = canvas.levels
    softened = cv2.GaussianBlur(levels, (0, 0), max(0.3, 0.45 / max(scale * shrunk, 0.05)))
    one = cv2.warpPerspective(softened, frame @ np.linalg.inv(canvas.map), size)
    other = np.asarray(original.convert("RGB").resize(size, Image.Resampling.BOX), np.float32)
    full = np.zeros(levels.shape[:2], np.uint8)
    cv2.fillConvexPoly(full, canvas.shown.round().astype(np.int32), 255)
    shown = cv2.warpPerspective(full, frame @ np.linalg.inv(canvas.map), size) == 255
    for mask in canvas.masks.values():
        shown &= cv2.resize(mask, size) < 32
    return np.asarray(one, np.float32).reshape(*shown.shape, 3), other, shown


def _grey(pixels: Floats) -> Floats:
    grey: Floats = pixels @ levels_of([0.299, 0.587, 0.114])
    return grey


def _chroma(pixels: Floats) -> Floats:
    """Return red and blue less grey: (height, width, 2)."""
    return np.asarray(pixels[:, :, ::2] - _grey(pixels)[:, :, None], np.float32)


def _fine(pixels: Floats) -> Floats:
    grey = _grey(pixels)
    return np.asarray(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5)), np.float32)


def _uneven(one: Floats, other: Floats, shown: NDArray[np.bool_]) -> float:
    """Measure how far the change of light, smoothed over a fifth of the side, varies: levels."""
    change = np.where(shown, _grey(one) - _grey(other), 0).astype(np.float32)
    radius = max(2.0, max(shown.shape) / 10)
    weight = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), radius)
    smooth = cv2.GaussianBlur(change, (0, 0), radius) / np.maximum(weight, 1e-3)
    return float(np.percentile(smooth[shown], 95) - np.percentile(smooth[shown], 5))


def _linear(inverse: Map, canvas: Canvas) -> Map:
    """Return the (2, 2) derivative of the map to the original at the middle of their overlap."""
    x, y = canvas.shown.mean(axis=0) if len(canvas.shown) else (0.0, 0.0)
    u, v, w = inverse @ np.array([x, y, 1.0])
    linear: Map = (inverse[:2, :2] - np.outer([u / w, v / w], inverse[2, :2])) / w
    return linear


def _beside(canvas: Canvas, inverse: Map) -> NDArray[np.uint8]:
    """Return a mask of what lies inside the picture's borders and shows other matter there."""
    scale = np.diag([GRID / canvas.size[0], GRID / canvas.size[1], 1.0]) @ inverse
    full = np.array(
        [[0, 0], [canvas.width, 0], [canvas.width, canvas.height], [0, canvas.height]], np.float64
    )
    mask = np.zeros((GRID, GRID), np.uint8)
    for outline, level in ((full, 255), (canvas.shown, 0)):
        if len(outline):
            laid = cv2.perspectiveTransform(outline[None].astype(np.float64), scale)[0]
            cv2.fillConvexPoly(mask, laid.round().astype(np.int32), level)
    # a cell at the edge may be rounding
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def _area(step: Map, inside: Map) -> float:
    if not len(inside):
        return 0.0
    laid = cv2.perspectiveTransform(inside[None].astype(np.float64), step)[0]
    return float(cv2.contourArea(laid.astype(np.float32)))


def _regions(masks: dict[ChangeKind, NDArray[np.uint8]]) -> tuple[ChangedRegion, ...]:
    """Return a box around each change; letters and strokes nearby are one."""
    found = []
    for kind, mask in masks.items():
        there = (mask > 127).astype(np.uint8)
        joined = cv2.morphologyEx(there, cv2.MORPH_CLOSE, np.ones((_JOINED, _JOINED), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        for left, top, width, height, area in stats[1:count].tolist():
            if area >= _HIDDEN * GRID * GRID:
                box = (left / GRID, top / GRID, width / GRID, height / GRID)
                found.append(ChangedRegion(*box, kind=kind))
    return tuple(found)
