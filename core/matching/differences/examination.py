"""Differences of a picture from the original with which it shares a region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.evidence import Box, ChangedRegion, ChangeKind
from core.matching.differences import relation
from core.matching.differences.difference_regions import Region
from core.matching.differences.picture_continuity import continuing_sides
from core.matching.differences.pixel_comparison import Measurement, measure
from core.matching.differences.region_merging import merge_regions
from core.matching.differences.relation import Finding
from core.matching.regions.homography import Map, Points, corners, invert, project
from core.matching.regions.overlay import Flow
from core.types import Pixels

_CELL, _SPAN = 0.8, 0.9
"""Share of the picture under which the original may be a cell of it, and share of a side that a
strip spans which the cell leaves out."""
_REGIONS = 16
"""Changed regions that are reported at most; all count in `changed_share`."""


class Differences(Struct, frozen=True, kw_only=True):
    """Changes of a picture in the region that it shares with an original."""

    finding: Finding
    """`copy` and `changed` are copies, `variant` and `recoloured` variants."""
    changed: tuple[ChangedRegion, ...] = ()
    """Regions of other content, in shares of the original, largest first."""
    changed_share: float = 0.0
    """Share of the original's area that these regions cover."""
    veiled: bool = False
    """Whether the changes are one half transparent veil, such as a watermark."""
    small_print: bool = False
    """Whether print differs that is too small in the previews to be compared."""
    flow: float = 0.0
    """Median deformation, as a share of the overlap's long side."""
    measurement: Measurement | None = None
    """None if the two hardly overlap, so that nothing could be compared."""


def examine(
    query: Pixels, original: Pixels, homography: Map, flow: Flow | None = None
) -> Differences:
    """Examine what differs where the homography (3 x 3, query to original) lays two previews.

    `flow`: a further smooth deformation over the overlap, (h, w, 2), from a pixel of the overlap's
    grid to that of the laid query. Pure and deterministic.
    """
    bent = _extent(flow)
    found = measure(query, original, homography, flow)
    if found is None:
        return Differences(finding="copy", flow=bent)
    regions = relation.contents(found)
    small = not regions and relation.small_print(found)
    boxes = [_changed(one.box, relation.kind(one)) for one in regions]
    if found.filled < _CELL:
        boxes = _cut_by_cell(boxes, continuing_sides(query, _border(original, homography)))
    changed = merge_regions(boxes)[:_REGIONS]
    return Differences(
        finding="variant" if small else _finding(found, regions, changed),
        changed=changed,
        changed_share=round((sum(r.area for r in regions) + found.beyond) * found.seen, 4),
        veiled=bool(regions) and relation.veiled(found.veil, regions),
        small_print=small,
        flow=bent,
        measurement=found,
    )


def _finding(
    found: Measurement, regions: Sequence[Region], changed: Sequence[ChangedRegion]
) -> Finding:
    """Decide, where a cell of a collage shows less of its picture as if it were cropped."""
    finding = relation.decide(found, regions)
    cut = bool(changed) and all(one.kind == "cut_away" for one in changed)
    return "copy" if finding == "changed" and found.filled < _CELL and cut else finding


def _cut_by_cell(boxes: list[ChangedRegion], sides: list[bool]) -> list[ChangedRegion]:
    """Call a strip cut away that belongs to what goes on beyond the original's border there."""
    return [replace(one, kind="cut_away") if _strip(one, sides) else one for one in boxes]


def _strip(box: Box, sides: list[bool]) -> bool:
    right, bottom = box.x + box.width, box.y + box.height
    touched = (box.y <= 0, right >= 1, bottom >= 1, box.x <= 0)
    spans = (box.width, box.height, box.width, box.height)
    return any(
        touches and goes_on and span > _SPAN
        for touches, goes_on, span in zip(touched, sides, spans, strict=True)
    )


def _border(original: Pixels, homography: Map) -> Points:
    """Return the original's corners in the query, clockwise from the top left."""
    frame = corners((original.shape[1], original.shape[0]))
    return project(invert(homography), frame)


def _changed(box: Box, kind: ChangeKind) -> ChangedRegion:
    return ChangedRegion(box.x, box.y, box.width, box.height, kind)


def _extent(flow: Flow | None) -> float:
    """Return how far a flow moves pixels, apart from its median, as a share of the long side."""
    if flow is None:
        return 0.0
    away = np.hypot(*np.moveaxis(flow - np.median(flow, axis=(0, 1)), -1, 0))
    return float(np.median(away) / max(flow.shape[:2]))
