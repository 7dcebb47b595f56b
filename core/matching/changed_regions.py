"""Contiguous disagreement, such as a caption, as boxes in the original's frame."""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.types import ChangedRegion

Flags = NDArray[np.bool_]

_GAP = 0.25
"""Share of the side over which a region extends to the edge through undecided blocks."""


class BlockRegion(Struct, frozen=True):
    """Group of adjacent blocks that disagree."""

    rows: tuple[int, int]
    """First row, and one past the last."""
    columns: tuple[int, int]
    blocks: int
    """Number of blocks in the group."""
    solid: float
    """Share of its box's decided blocks that disagree."""
    grown: tuple[bool, bool, bool, bool] = (False, False, False, False)
    """Whether it extends to the top, bottom, left and right edge over undecided blocks."""


def regions(disagree: Flags, agree: Flags, least: int) -> list[BlockRegion]:
    """Group at least `least` disagreeing blocks, largest first; gaps of one block are bridged.

    Blocks that neither agree nor disagree do not count for or against a box being solid.
    """
    bridged = cv2.morphologyEx(
        disagree.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    )
    count, labels = cv2.connectedComponents(bridged, connectivity=8)
    found = []
    for label in range(1, count):
        group = (labels == label) & disagree
        if int(group.sum()) < least:
            continue
        y, x = _shrunk(disagree, agree, group)
        window = np.s_[y[0] : y[1], x[0] : x[1]]
        against = int(disagree[window].sum())
        decided = against + int(agree[window].sum())
        if against < least:
            continue
        solid = against / max(decided, 1)
        grown = _grown(agree, y, x)
        found.append(BlockRegion(rows=y, columns=x, blocks=against, solid=solid, grown=grown))
    return sorted(found, key=lambda region: (-region.blocks, region.rows, region.columns))


def _shrunk(disagree: Flags, agree: Flags, group: Flags) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shrink the group's box by rims where fewer than half of the decided blocks disagree."""
    rows, columns = np.flatnonzero(group.any(axis=1)), np.flatnonzero(group.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    moving = True
    while moving and bottom - top > 1 and right - left > 1:
        moving = False
        rims = (
            (np.s_[top, left:right], (1, 0, 0, 0)),
            (np.s_[bottom - 1, left:right], (0, -1, 0, 0)),
            (np.s_[top:bottom, left], (0, 0, 1, 0)),
            (np.s_[top:bottom, right - 1], (0, 0, 0, -1)),
        )
        for rim, step in rims:
            against, wanted = int(disagree[rim].sum()), int(agree[rim].sum())
            if against < max(1, wanted):
                top, bottom, left, right = np.array([top, bottom, left, right]) + step
                moving = True
                break
    return (int(top), int(bottom)), (int(left), int(right))


def _grown(agree: Flags, y: tuple[int, int], x: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
    """Return which edges it reaches without an agreeing block between: a bar over a dark corner."""
    height, width = agree.shape
    sides = (
        (np.s_[: y[0], slice(*x)], y[0], height),
        (np.s_[y[1] :, slice(*x)], height - y[1], height),
        (np.s_[slice(*y), : x[0]], x[0], width),
        (np.s_[slice(*y), x[1] :], width - x[1], width),
    )
    top, bottom, left, right = (
        0 < gap <= _GAP * whole and not agree[strip].any() for strip, gap, whole in sides
    )
    return top, bottom, left, right


def inside(region: BlockRegion, shape: tuple[int, ...]) -> Flags:
    """Return the blocks in the region's box or next to it: it may extend into those."""
    covered = np.zeros(shape, bool)
    top, left = max(0, region.rows[0] - 1), max(0, region.columns[0] - 1)
    covered[top : region.rows[1] + 1, left : region.columns[1] + 1] = True
    return covered


def box(
    region: BlockRegion,
    shape: tuple[int, ...],
    frame: tuple[float, float, float, float],
    changed: Flags,
) -> ChangedRegion:
    """Return the region's bounds, exact to the pixel, as shares of the original.

    `changed` marks the grid's pixels that differ. A row or column of the box's rim belongs to it if
    at least a third of it differs; a rim moves by one block at most.
    """
    height, width = changed.shape
    block = height // shape[0]
    top, bottom = _bounds(region.rows, block, height)
    left, right = _bounds(region.columns, block, width)
    window = changed[top:bottom, left:right]
    rows = window[:, _core(region.columns, block, left)].mean(axis=1)
    columns = window[_core(region.rows, block, top)].mean(axis=0)
    y0, y1 = _trim(rows, top, region.rows, block)
    x0, x1 = _trim(columns, left, region.columns, block)
    # dark under a black bar does not differ: a region in the last block goes on to the edge
    up, down, before, after = region.grown
    up, down = up or region.rows[0] == 0, down or region.rows[1] == shape[0]
    before, after = before or region.columns[0] == 0, after or region.columns[1] == shape[1]
    y0, y1 = 0 if up else y0, height if down else y1
    x0, x1 = 0 if before else x0, width if after else x1
    return ChangedRegion(
        x=round(float(frame[0] + frame[2] * x0 / width), 4),
        y=round(float(frame[1] + frame[3] * y0 / height), 4),
        width=round(float(frame[2] * (x1 - x0) / width), 4),
        height=round(float(frame[3] * (y1 - y0) / height), 4),
    )


def _bounds(span: tuple[int, int], block: int, limit: int) -> tuple[int, int]:
    return max(0, (span[0] - 1) * block), min(limit, (span[1] + 1) * block)


def _core(span: tuple[int, int], block: int, start: int) -> slice:
    return slice(span[0] * block - start, span[1] * block - start)


def _trim(
    share: NDArray[np.floating], start: int, span: tuple[int, int], block: int
) -> tuple[int, int]:
    """Return where a profile reaches a third of its height near the ends of the span."""
    if not share.max() > 0:
        return span[0] * block, span[1] * block
    marked = np.flatnonzero(share >= share.max() / 3)
    first, last = start + int(marked[0]), start + int(marked[-1]) + 1
    return min(first, (span[0] + 1) * block), max(last, (span[1] - 1) * block)
