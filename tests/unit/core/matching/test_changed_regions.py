"""Contiguous disagreement as boxes."""

import numpy as np
import pytest

from core.matching import changed_regions
from core.matching.changed_regions import BlockRegion
from core.types import ChangedRegion

SHAPE = (10, 12)


def _marked(*windows: tuple[slice, slice]) -> np.ndarray:
    marks = np.zeros(SHAPE, bool)
    for window in windows:
        marks[window] = True
    return marks


def test_a_bar_is_one_region() -> None:
    """All its blocks touch, and none in its box agrees."""
    bar = _marked(np.s_[8:10, 0:12])
    assert changed_regions.regions(bar, ~bar, 3) == [
        BlockRegion(rows=(8, 10), columns=(0, 12), blocks=24, solid=1.0)
    ]


def test_two_places_are_two_regions_the_larger_first() -> None:
    """Places that do not touch are separate."""
    both = _marked(np.s_[0:2, 0:2], np.s_[5:8, 6:10])
    found = changed_regions.regions(both, ~both, 3)
    assert [(r.rows, r.columns) for r in found] == [((5, 8), (6, 10)), ((0, 2), (0, 2))]


def test_a_few_scattered_blocks_are_none() -> None:
    """A block here and there is noise, or another object: no region."""
    scattered = _marked(np.s_[1, 1], np.s_[1, 8], np.s_[6, 3], np.s_[8, 10])
    assert changed_regions.regions(scattered, ~scattered, 3) == []


def test_a_frayed_rim_is_left_out() -> None:
    """Two stray blocks above a bar do not make the box a row higher."""
    bar = _marked(np.s_[8:10, 0:12], np.s_[7, 0], np.s_[7, 11])
    (found,) = changed_regions.regions(bar, ~bar, 3)
    assert (found.rows, found.columns, found.solid) == ((8, 10), (0, 12), 1.0)


def test_a_box_is_exact_to_the_pixel() -> None:
    """Its bounds follow the pixels that differ, in shares of the original."""
    changed = np.zeros((160, 192), bool)
    changed[123:160, :] = True
    bar = BlockRegion(rows=(8, 10), columns=(0, 12), blocks=24, solid=1.0)
    made = changed_regions.box(bar, SHAPE, (0.0, 0.5, 1.0, 0.5), changed)
    assert made == ChangedRegion(
        x=0.0,
        y=pytest.approx(0.5 + 0.5 * 123 / 160, abs=1e-4),
        width=1.0,
        height=pytest.approx(0.5 * 37 / 160, abs=1e-4),
    )


def test_what_touches_a_region_counts_as_inside() -> None:
    """An overlay may reach into the blocks beside its box."""
    spot = BlockRegion(rows=(4, 6), columns=(5, 7), blocks=4, solid=1.0)
    assert np.array_equal(changed_regions.inside(spot, SHAPE), _marked(np.s_[3:7, 4:8]))
