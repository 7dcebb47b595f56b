"""Rules on single regions: whether their matter differs, and how it is called."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from core.evidence import Box
from core.matching.differences import relation
from core.matching.differences.difference_regions import Region
from core.matching.differences.pixel_comparison import Measurement, measure
from tests.samples.pixel_pairs import HERE, photo

_REGION = Region(
    box=Box(x=0.1, y=0.1, width=0.4, height=0.3),
    area=0.05,
    strength=100.0,
    chroma=10.0,
    correlation=0.2,
    fine=0.0,
    texture=8.0,
    plain=0.4,
    inks=0.5,
    evidence=5000.0,
    fill=0.5,
    sides=(0, 0),
    thick=0.9,
    middle=0.2,
)


def _photos(changes: dict[str, Any]) -> Measurement:
    """Measure two equal photos, then give them the numbers of others."""
    found = measure(photo(), photo(), HERE, None)
    assert found is not None
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("pair", "region"),
    [
        ({"bent": True}, {"strength": 46.0, "fill": 0.12}),
        ({"reduced": True}, {"strength": 43.0, "area": 0.0058}),
        ({"noise": 19.8}, {"strength": 53.0}),
        ({"sharpness": 0.38, "noise": 2.5}, {"strength": 27.0}),
        ({}, {"strength": 20.0, "texture": 1.2, "plain": 1.0, "correlation": 0.0}),
    ],
    ids=["fisheye", "one bit", "vignette", "blur", "clipped light"],
)
def test_content_of_filters_is_none(pair: dict[str, Any], region: dict[str, Any]) -> None:
    """Numbers as measured of filters that lay nothing over a photo."""
    assert not relation.content(replace(_REGION, **region), _photos(pair))
    assert relation.content(_REGION, _photos(pair))


@pytest.mark.parametrize(
    ("kind", "region"),
    [
        ("laid_over", {"plain": 0.82, "inks": 0.9, "sides": (1, 1), "fill": 0.7}),
        ("cut_away", {"plain": 0.98, "inks": 1.0, "sides": (1, 1), "fill": 0.3}),
        ("laid_over", {"box": Box(x=0.1, y=0.0, width=0.8, height=0.2), "fill": 0.6}),
        ("replaced", {"box": Box(x=0.0, y=0.0, width=1.0, height=0.4), "fill": 0.7}),
    ],
    ids=["logo", "corner", "large letters", "sky"],
)
def test_kind_of_region(kind: str, region: dict[str, Any]) -> None:
    """Numbers as measured of what was laid over, cut away and replaced."""
    assert relation.kind(replace(_REGION, **region)) == kind
