"""Contours that one of two pictures shows alone, as two exposures of one place have them."""

from __future__ import annotations

import numpy as np
import pytest

from core.matching.differences.examination import examine
from core.matching.differences.own_contours import own_contours
from core.types import Pixels
from tests.samples.pixel_pairs import HERE, SIDE, jpeg, photo

_RED, _BLUE = (200, 30, 30), (20, 40, 210)
_WHOLE = np.ones((SIDE, SIDE), np.bool_)


def _with(*corners: tuple[int, int], side: int = 60, colour: tuple[int, int, int] = _RED) -> Pixels:
    made = photo().copy()
    for x, y in corners:
        made[y : y + side, x : x + side] = colour
    return made


@pytest.mark.parametrize("quality", [92, 40])
def test_examine_objects_of_either_picture_make_two_exposures(quality: int) -> None:
    """Neither was made of the other: each shows the ground behind the other's objects."""
    original, picture = _with((60, 60), (70, 190)), _with((180, 120), colour=_BLUE)
    assert examine(jpeg(picture, quality), jpeg(original, 92), HERE).finding == "variant"


@pytest.mark.parametrize(
    ("original", "picture"),
    [
        (photo(), _with((60, 60), (70, 190), (180, 120))),
        (_with((60, 60), (70, 190), (180, 120)), photo()),
        (_with((100, 100)), _with((100, 100), colour=_BLUE)),
        (_with((120, 8), side=36), _with((120, 276), side=36)),
        (_with((60, 60), (70, 190), side=8), _with((180, 120), side=8)),
    ],
    ids=["laid over", "removed", "another in place", "captions", "strokes"],
)
def test_examine_objects_of_one_picture_stay_changes_of_a_copy(
    original: Pixels, picture: Pixels
) -> None:
    """Stickers, what was removed, captions at two edges and letters are no exposures."""
    assert examine(jpeg(picture, 60), jpeg(original, 92), HERE).finding == "changed"


def test_own_contours_measures_the_outline_of_an_object() -> None:
    """An object has four sides of its length, on the side of the picture that shows it."""
    ground, shown = (one.astype(np.float32) for one in (photo(), _with((100, 130))))
    found = own_contours(ground, shown, _WHOLE)
    assert found.original == 0
    assert found.picture == pytest.approx(4 * 60 / SIDE, rel=0.4)
    turned = own_contours(shown, ground, _WHOLE)
    assert (turned.original, turned.picture) == (found.picture, 0)
