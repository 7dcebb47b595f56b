"""Rules on single regions: whether their matter differs, and how it is called."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from core.evidence import Box
from core.matching.differences import relation
from core.matching.differences.difference_regions import Region, Veil
from core.matching.differences.drawn_pictures import photographed
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
    edged=0.8,
    flat=0.2,
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
        ({"noise": 15.2}, {"strength": 55.0, "fine": 0.69}),
        ({}, {"strength": 20.0, "texture": 1.2, "plain": 1.0, "correlation": 0.0}),
        ({}, {"strength": 16.0, "texture": 0.5, "plain": 0.77, "inks": 1.0, "correlation": 0.0}),
    ],
    ids=["fisheye", "one bit", "vignette", "blur", "darker vignette", "clipped light", "fried"],
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
        ("laid_over", {"area": 0.235, "inks": 0.63, "edged": 0.79, "flat": 0.46}),
        ("replaced", {"area": 0.076, "inks": 0.89, "edged": 0.0, "flat": 0.63}),
        ("replaced", {"area": 0.115, "inks": 0.83, "edged": 0.04, "thick": 0.26}),
        ("laid_over", {"chroma": 77.0, "correlation": 0.91, "inks": 0.94}),
        ("recoloured", {"chroma": 77.0, "correlation": 0.91}),
    ],
    ids=[
        "logo",
        "corner",
        "large letters",
        "sky",
        "several stickers",
        "painted out",
        "finely painted out",
        "red stroke",
        "other colour",
    ],
)
def test_kind_of_region(kind: str, region: dict[str, Any]) -> None:
    """Numbers as measured of what was laid over, cut away and replaced."""
    assert relation.kind(replace(_REGION, **region)) == kind


def test_veil_is_spread_and_no_bar() -> None:
    """A half transparent bar is one dense part; a watermark is many, or a thin one."""
    veil = Veil(area=0.09, lighter=0.05, through=0.58, spread=0.11)
    bar = replace(_REGION, area=0.09, fill=0.67)
    assert not relation.veiled(veil, [bar])
    assert relation.veiled(veil, [replace(bar, fill=0.2)])
    assert relation.veiled(veil, [replace(bar, area=0.01)] * 3)


@pytest.mark.parametrize(("night", "most"), [(True, 1.0), (False, 0.0)], ids=["sky", "screen"])
def test_dark_ground_is_paper_only_if_flat(night: bool, most: float) -> None:
    """Stars in the noise of a sky are photographed; the same lights on a screen are drawn."""
    draw = np.random.default_rng(3)
    shown = np.full((256, 256), 12.0, np.float32)
    for x, y in draw.integers(4, 252, (400, 2)).tolist():
        cv2.circle(shown, (x, y), 2, (200.0,), -1)
    if night:
        shown += draw.normal(0, 3, shown.shape).astype(np.float32)
    plane = np.repeat(shown[..., None], 3, axis=2)
    found = photographed(plane, plane, plane, np.ones(shown.shape, bool))
    assert abs(found.alike - most) < 0.2
