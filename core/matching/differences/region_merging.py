"""Changed regions of one kind that belong together, such as the letters of a line, as one."""

from __future__ import annotations

from collections.abc import Sequence

from core.evidence import Box, ChangedRegion


def merge_regions(regions: Sequence[ChangedRegion], gap: float = 0.02) -> tuple[ChangedRegion, ...]:
    """Join regions of one kind that lie within `gap` of the sides of each other, as letters do."""
    found: list[ChangedRegion] = []
    for region in regions:
        near = [one for one in found if one.kind == region.kind and _touch(one, region, gap)]
        while near:
            for one in near:
                found.remove(one)
                region = _union(one, region)  # noqa: PLW2901 - it grows
            near = [one for one in found if one.kind == region.kind and _touch(one, region, gap)]
        found.append(region)
    return tuple(sorted(found, key=lambda one: -one.width * one.height))


def _touch(first: Box, second: Box, gap: float) -> bool:
    return (
        first.x - gap <= second.x + second.width
        and second.x - gap <= first.x + first.width
        and first.y - gap <= second.y + second.height
        and second.y - gap <= first.y + first.height
    )


def _union(first: ChangedRegion, second: ChangedRegion) -> ChangedRegion:
    x, y = min(first.x, second.x), min(first.y, second.y)
    right = max(first.x + first.width, second.x + second.width)
    bottom = max(first.y + first.height, second.y + second.height)
    return ChangedRegion(
        x=x, y=y, width=round(right - x, 4), height=round(bottom - y, 4), kind=first.kind
    )
