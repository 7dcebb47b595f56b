"""Statements of what is true of a pair, from its geometry and its differences."""

# ruff: noqa: PLR2004 - the bound of each statement stands where it is made

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.evidence import Box, Statement, Uncompared
from core.matching.differences.color_change import Colours
from core.matching.differences.examination import Differences
from core.matching.differences.pair_geometry import PairGeometry
from core.matching.differences.pixel_comparison import Measurement

_UNCOMPARED = {
    "frames": Statement("uncompared_frames"),
    "transparency": Statement("uncompared_transparency"),
}
_BENT = 0.003
"""Median deformation, as a share of the long side, from which a picture is bent."""
_SLANTED = 0.035
"""Slant from which a picture was seen from the side. Measured: maps of pictures that were not are
slanted by 0.03 at most after strong compression, and pictures slanted by 10 % by 0.05 at least."""
_SCALED = 1.07
"""Factor from which a size differs: the map of a small part is exact to 5 %."""
_COVERED = 0.3
"""Share of changed regions from which the light of the rest is not measured."""
CHANGES = frozenset(("caption", "watermark", "laid_over", "cut_away", "replaced", "recoloured"))
"""Codes of changes to a copy, which a variant does not have: its other content is its own."""
_NAMED = 3
"""Changed regions that are named one by one."""


def statements(
    geometry: PairGeometry,
    differences: Differences,
    uncompared: Sequence[Uncompared] = (),
    *,
    negative: bool = False,
) -> tuple[Statement, ...]:
    """Return what is true of a pair, most telling first; `negative`: its tones are reversed.

    `unchanged` and `reencoded` stand alone, where nothing else is true of it.
    """
    found = [
        *_content(differences),
        *_placed(geometry, differences),
        *_changes(differences),
        *_light(differences, negative=negative),
    ]
    scale = [] if differences.flow > _BENT else _scaled(geometry)
    if not found and not scale:
        found = [_same(differences.measurement)]
    return (*found, *scale, *(_UNCOMPARED[one] for one in uncompared))


def _content(differences: Differences) -> Iterator[Statement]:
    if differences.small_print:
        yield Statement("small_print")
    elif differences.finding == "variant":
        yield Statement("other_content", {"percent": whole_percent(differences.changed_share)})
    elif differences.finding == "recoloured":
        yield Statement("other_colours")


def _placed(geometry: PairGeometry, differences: Differences) -> Iterator[Statement]:
    transform = geometry.transform
    if transform.mirrored:
        yield Statement("mirrored")
    degrees = round(abs((transform.rotation + 180) % 360 - 180))
    if degrees > 1:
        yield Statement("turned", {"degrees": degrees})
    if transform.seen < 0.97:
        yield Statement("cropped", {"percent": whole_percent(transform.seen)})
    if geometry.surroundings == "picture":
        yield Statement("extended", {"percent": whole_percent(transform.filled)})
    elif geometry.surroundings == "frame":
        yield Statement("framed", {"percent": whole_percent(transform.filled)})
    if geometry.slant > _SLANTED:
        yield Statement("slanted")
    elif geometry.stretch > 1.06:
        yield Statement("stretched", {"ratio": round(geometry.stretch, 2)})
    if differences.flow > _BENT:
        yield Statement("bent")


def _changes(differences: Differences) -> Iterator[Statement]:
    """Name the regions of a copy that differ; a variant's are its other content, a veil's one.

    No region is larger than all that differs, though the box around scattered strokes may be.
    """
    if differences.finding != "changed":
        return
    if differences.veiled:
        yield Statement("watermark")
        return
    rest = []
    for region in differences.changed:
        edge = caption_edge(region) if region.kind == "laid_over" else None
        if edge is not None:
            percent = whole_percent(region.height)
            yield Statement("caption", {"edge": edge, "percent": percent})
        else:
            rest.append(region)
    for region in rest[:_NAMED]:
        share = min(region.width * region.height, differences.changed_share)
        yield Statement(region.kind, {"percent": whole_percent(share)})


def caption_edge(region: Box) -> str | None:
    """Return the edge at which a bar or a line of words stands; None if it is neither."""
    if region.width > 0.9 and region.height < 0.5:
        if region.y + region.height > 0.94:
            return "bottom"
        return "top" if region.y < 0.06 else "across"
    centred = abs(region.x + region.width / 2 - 0.5) < 0.15
    line = centred and region.width > 0.5 and region.width > 1.7 * region.height
    if line and region.y + region.height > 0.85:
        return "bottom"
    return "top" if line and region.y < 0.15 else None


def _light(differences: Differences, *, negative: bool) -> Iterator[Statement]:
    found = differences.measurement
    if negative:
        yield Statement("negative")
    if found is None:
        return
    yield from _coloured(found.colours)
    if differences.changed_share >= _COVERED:
        return
    if not negative:
        yield from _tones(found)
    least = 5.0 if found.bent else 3.4  # a deformation leaves misfits
    if found.light > least and not found.reduced and differences.changed_share < 0.05:
        yield Statement("uneven_light")
    yield from _fineness(found)


def _coloured(colours: Colours) -> Iterator[Statement]:
    if colours.colourful[0] > 12 and colours.colourful[1] < 3:
        yield Statement("without_colours")
    elif colours.cast > 6 or turned(colours) or _saturated(colours):
        yield Statement("tinted")


def _fineness(found: Measurement) -> Iterator[Statement]:
    if found.sharpness < 0.65:
        yield Statement("blurred")
    elif found.sharpness > 1.6:
        yield Statement("sharpened")


def turned(colours: Colours) -> bool:
    """Return whether hues turned or were mapped to others, beyond saturation and one cast."""
    coloured = colours.variance > 12 and colours.power > 0.15
    return coloured and (abs(colours.turn) > 30 or colours.explained < 0.25)


def _saturated(colours: Colours) -> bool:
    return colours.variance > 12 and not 0.45 < colours.power < 2


def _tones(found: Measurement) -> Iterator[Statement]:
    if found.contrast > 1.09:
        yield Statement("more_contrast")
    elif found.contrast < 0.92:
        yield Statement("less_contrast")
    if found.brightness > 8:
        yield Statement("brighter")
    elif found.brightness < -8:
        yield Statement("darker")


def _scaled(geometry: PairGeometry) -> list[Statement]:
    scale = geometry.transform.scale
    percent = round(100 / scale)
    if scale > _SCALED:
        return [Statement("resized", {"percent": percent})]
    return [Statement("enlarged", {"percent": percent})] if scale < 1 / _SCALED else []


def _same(found: Measurement | None) -> Statement:
    unchanged = found is not None and not found.regions and found.noise < 0.5
    return Statement("unchanged") if unchanged else Statement("reencoded")


def whole_percent(share: float) -> int:
    """Return a share in whole percent, at least 1."""
    return max(1, round(100 * share))
