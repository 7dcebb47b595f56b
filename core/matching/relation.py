"""Rule that separates a copy, with or without changes from a variant by what differs."""

# ruff: noqa: PLR2004 - the bounds stand where they are applied

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from core.matching.color_change import Colours
from core.matching.difference_regions import Region
from core.matching.pixel_comparison import Measurement
from core.types import ChangeKind

Finding = Literal["copy", "changed", "variant", "recoloured"]
"""copy: nothing but light, encoding and geometry differs. changed: a copy with other matter over
or in it. variant: other content in the same layout. recoloured: a variant in other colours."""


def content(region: Region, noise: float, *, drawn: bool) -> bool:
    """Return whether the region's matter differs, not only its light.

    Strong against the pair's own noise, and of another structure or another colour.
    """
    least = min(45.0, max(12.0, 5.0 * noise))
    if region.strength < least:
        return False
    if region.area < 0.0005 and not (drawn and region.evidence >= 180):
        return False
    other = region.correlation < 0.65 or (region.area >= 0.01 and region.correlation < 0.85)
    return other or region.chroma >= 60 or region.strength >= 130


def is_drawn(found: Measurement) -> bool:
    """Return whether both pictures are drawn: documents, screens, cards, logos."""
    return min(found.flat_original, found.flat_picture) >= 0.25


def contents(found: Measurement) -> list[Region]:
    """Return the regions of other content, most telling first."""
    drawn = is_drawn(found)
    return [region for region in found.regions if content(region, found.noise, drawn=drawn)]


def decide(found: Measurement) -> Finding:
    """Decide by the regions of other content, then by the colours as a whole."""
    regions = contents(found)
    drawn = is_drawn(found)
    if any(r.flat_original >= 0.12 and r.flat_picture >= 0.12 for r in regions):
        return "variant"
    if regions:
        return "variant" if drawn else "changed"
    return "recoloured" if drawn and dyed(found.colours) else "copy"


def dyed(colours: Colours) -> bool:
    """Return whether the ground keeps its colour and the thing on it has another."""
    faded = colours.colourful[1] < 7 and colours.lightness < 6
    return colours.dyed >= 10 and colours.ground < 4 and not faded


def veiled(regions: Sequence[Region]) -> bool:
    """Return whether the regions are one veil: lighter or darker throughout, and seen through."""
    area = sum(region.area for region in regions)
    if not regions or area < 0.01:
        return False
    lighter = sum(region.area * region.lighter for region in regions) / area
    through = sum(region.area * region.through for region in regions) / area
    return through >= 0.6 and not 0.1 < lighter < 0.9


def kind(region: Region) -> ChangeKind:
    """Name how a region differs."""
    if region.chroma >= 60 and region.correlation >= 0.85:
        return "recoloured"
    if region.plain > 0.7 and region.sides >= 2 and (region.sides == 4 or region.fill < 0.75):
        return "cut_away"
    return "laid_over" if region.inks > 0.55 else "replaced"
