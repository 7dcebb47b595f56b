"""Rule that separates a copy, with or without changes, from a variant by what differs."""

# ruff: noqa: PLR2004 - the bounds stand where they are applied

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from core.evidence import ChangeKind
from core.matching.differences.color_change import Colours
from core.matching.differences.difference_regions import Region, Veil
from core.matching.differences.pixel_comparison import Measurement

Finding = Literal["copy", "changed", "variant", "recoloured"]
"""copy: nothing but light, encoding and geometry differs. changed: a copy with other matter over
or in it. variant: other content in the same layout. recoloured: a variant in other colours."""

_LETTER = 40
"""Adjoining doubtful pixels from which print may be other, in an overlap of 448 pixels. Measured:
other digits of 3 pixels have 39 to 80; of 44 strongly compressed or reduced copies of 11 kinds of
print all but two stay below, and above 1,000 pixels all."""


_OWN = 0.26
"""Contours of its own that each picture has from which they are two exposures. Measured, the lesser
side: 186 edits of photos at most 0.20, 36 pairs of a photo in other frames 0.18; 66 pairs of a
made fixed camera 0.33 at least, a pair of another 0.34, reduced to two thirds 0.20."""


def content(region: Region, found: Measurement) -> bool:
    """Return whether the region's matter differs, not only its light.

    Strong against the pair's own noise, and of another structure or another colour. Where fine
    texture is the same, only light changed: measured, vignettes, leaks, flags and local contrast
    leave a correlation of 0.68 to 0.99, what was laid over at most 0.33.
    """
    if region.printed:
        return True
    if region.faded:
        return region.fine < 0.3 and region.texture >= 3
    return _strong(region, found) and _other_matter(region, found)


def _strong(region: Region, found: Measurement) -> bool:
    if region.strength < _least_strength(region, found):
        return False
    if found.filled < 0.8 and _edge(region):
        return False
    if found.bent:  # a deformation leaves thin misfits
        return region.area >= 0.01 and region.strength >= 45 and region.fill >= 0.25
    if found.drawn:
        return region.area >= 0.0008 or region.evidence >= 180
    if found.reduced:  # a threshold falls otherwise after compression
        return region.area >= 0.01 and region.strength >= 60
    return region.area >= 0.0008 and not _clipped(region)


def _edge(region: Region) -> bool:
    """Return whether it is the edge of a cell or of a frame."""
    return region.thick < 0.05 and min(region.box.width, region.box.height) < 0.015


def _least_strength(region: Region, found: Measurement) -> float:
    """Return the grey levels above which a region stands out from its pair's noise.

    Measured on photos: heavy vignettes, of a noise of 20 levels, leave 46 to 53; blurs and mosaics,
    of a noise of 2.6, leave 26 to 28.
    """
    unlike = region.area >= 0.01 and region.fine < 0.2 and region.correlation < 0.5
    soft = found.sharpness < 0.6 and not found.drawn
    times = 12.0 if soft else 3.0 if unlike else 5.0
    return max(min(45.0, max(12.0, times * found.noise)), 3.0 * found.noise)


def _clipped(region: Region) -> bool:
    """Return whether flat ground is weakly lighter or darker, as where light is clipped.

    It may have more than one level then, as posterised ground has.
    """
    flat = region.correlation == 0 and region.texture < 2.5
    return flat and region.strength < (
        25 if region.plain > 0.95 else 18 if region.inks > 0.95 else 0
    )


def _other_matter(region: Region, found: Measurement) -> bool:
    if region.chroma >= max(60.0, 6.0 * found.noise):
        return True
    if found.reduced:
        return region.correlation < 0.4 and region.fine < 0.3
    if region.fine > 0.6 and region.texture >= 1.5:
        return False
    least = 45 if region.fine < 0.2 else 60
    wide = region.area >= 0.01 and region.strength >= least and region.correlation < 0.85
    other = region.correlation < 0.65 or wide or region.strength >= 130
    return other or _effaced(region, found)


def _effaced(region: Region, found: Measurement) -> bool:
    """Return whether texture gave way to a blur or a mosaic of the same brightness.

    In a picture that is blurred as a whole it has to stand out the more.
    """
    times = 5 if found.sharpness > 0.8 else 10
    strong = region.strength >= times * found.noise and region.area >= 0.005
    return strong and region.fine < 0.2 and region.texture >= 3.5


def contents(found: Measurement) -> list[Region]:
    """Return the regions of other content, most telling first."""
    return [one for one in found.regions if content(one, found)]


def decide(found: Measurement, other: Sequence[Region]) -> Finding:
    """Decide by the regions of `other` content, then by the colours as a whole.

    Other matter in a drawn picture is other content. In a photo it was laid over or replaced,
    unless hardly anything photographed is alike: then the two share a layout or a studio. Nor was
    it if each shows objects where the other shows the ground: they are two exposures of one place.
    """
    if other:
        share = found.photographed
        shared = share.alike >= 0.12 or (share.all >= 0.02 and share.alike >= 0.45 * share.all)
        twice = min(found.own.original, found.own.picture) >= _OWN
        return "variant" if found.drawn or twice or not shared else "changed"
    return "recoloured" if found.grounded and dyed(found.colours) else "copy"


def small_print(found: Measurement) -> bool:
    """Return whether print may differ that is too small to compare, if no content differs."""
    return found.doubtful >= _LETTER


def dyed(colours: Colours) -> bool:
    """Return whether the ground keeps its colour and the thing on it has another."""
    if colours.colourful[1] < 7 and colours.lightness < 6:
        return False
    if _repainted(colours):
        return True
    hued = colours.variance >= 12 and abs(colours.turn) < 20 and colours.explained > 0.5
    return colours.dyed >= 10 and colours.ground < 4 and not hued


def _repainted(colours: Colours) -> bool:
    """Return whether colours are far stronger and lighter on a ground that kept its own.

    Or far weaker and darker. To brighten a picture that far would move its ground; to fade it makes
    colours lighter but weaker. The strength is a variance: 2.4 times as colourful or more.
    Measured: brown and orange or black and blue goods 7 to 116 times; of 920 light edits, most of
    them of things on white ground, none is taken for it.
    """
    stronger = colours.power if colours.lightened > 0 else 1 / (colours.power + 1e-6)
    light = abs(colours.lightened) >= 6
    return stronger >= 6 and light and colours.ground < 4 and max(colours.colourful) >= 20


def veiled(veil: Veil, regions: Sequence[Region]) -> bool:
    """Return whether all that differs is one veil: spread, one-sided, and seen through.

    A half transparent bar that is nearly all that differs is no veil.
    """
    one_sided = not 0.07 < veil.lighter < 0.93
    bar = any(one.area > 0.8 * veil.area and one.fill > 0.6 for one in regions)
    return (
        one_sided and veil.area >= 0.005 and veil.spread >= 0.1 and veil.through >= 0.5 and not bar
    )


def kind(region: Region) -> ChangeKind:
    """Name how a region differs."""
    if _cut_away(region):
        return "cut_away"
    if region.chroma >= 60 and region.correlation >= 0.85 and region.inks < 0.85:
        return "recoloured"
    effaced = region.faded or (region.fine < 0.2 and region.correlation >= 0.75)
    return "laid_over" if effaced or _drawn(region) else "replaced"


def _drawn(region: Region) -> bool:
    """Return whether it is drawn, as stickers and letters are; a large area asks for fewer inks.

    Something painted out has no edge; several stickers have many inks, but edges and flat ground.
    Measured: edges at 0.13 of the rim of what was painted out at most, of bars and stickers at 0.33
    at least; large stickers are flat by 0.4 at least, other photos with their inks by 0.3 at most.
    """
    if region.edged < 0.15 and region.fill > 0.4 and region.inks < 0.92:
        return False
    wide = min(region.box.width, region.box.height) > 0.36
    dense = region.area >= 0.1 and (wide or region.fill > 0.75)
    stickers = region.edged >= 0.35 and region.flat >= 0.4 and region.inks >= 0.6
    inked = region.inks > (0.85 if dense else 0.66)
    return inked or stickers or region.thick < 0.4 or _line(region)


def _line(region: Region) -> bool:
    """Return whether it may be a line of large letters, between which the photo is seen."""
    box = region.box
    return region.fill < 0.75 and box.height < 0.36 and box.width > max(0.5, 2 * box.height)


def _cut_away(region: Region) -> bool:
    """Return whether it is plain ground around the picture, with a round or slanted edge.

    Bars along one side, letters and strokes have one colour as well, so they are left out:
    measured, bars fill 0.5 of their box at least where the picture has their colour, round corners
    0.33 at most.
    """
    if region.plain <= 0.95 or min(region.sides) < 1 or region.fill >= 0.62:
        return False
    sides = sum(region.sides)
    if (sides == 3 and region.fill >= 0.45) or (sides == 4 and region.middle > 0.1):
        return False
    square = 0.5 < region.box.width / max(region.box.height, 1e-6) < 2
    return region.thick > 0.6 or (sides == 2 and region.fill < 0.35 and square)
