"""Statements of a pair, and their English words."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np

from core.evidence import Box, Statement, StatementCode, Uncompared
from core.matching.differences import pair_geometry
from core.matching.differences.examination import examine
from core.matching.differences.statements import caption_edge, statements
from core.matching.differences.wording import words
from core.matching.regions.homography import Map
from core.types import Pixels
from tests.samples.pixel_pairs import HERE, photo


def _stated(
    query: Pixels,
    original: Pixels,
    homography: Map = HERE,
    *uncompared: Uncompared,
    negative: bool = False,
) -> tuple[Statement, ...]:
    (h, w), (ch, cw) = query.shape[:2], original.shape[:2]
    found = pair_geometry.locate(
        query, original, homography, query_size=(w, h), original_size=(cw, ch)
    )
    assert found is not None
    differences = examine(query, original, homography)
    return statements(found, differences, uncompared, negative=negative)


def _codes(
    query: Pixels, original: Pixels, homography: Map = HERE, *, negative: bool = False
) -> list[str]:
    return [one.code for one in _stated(query, original, homography, negative=negative)]


def test_statements_of_equal_pixels_are_unchanged_alone() -> None:
    """Nothing is above the noise."""
    assert _codes(photo(), photo()) == ["unchanged"]


def test_statements_of_strokes_name_no_more_than_differs() -> None:
    """The box of a cross is all of the picture, its strokes are a sixth."""
    query = photo()
    for ends in (((0, 0), (320, 320)), ((320, 0), (0, 320))):
        cv2.line(query, *ends, (200, 0, 0), 24)
    (crossed,) = _stated(query, photo())
    assert crossed.code == "laid_over"
    assert 10 <= float(crossed.params["percent"]) <= 25


def test_statements_of_mirrored_crop_name_both() -> None:
    """A mirror and a crop follow from the homography."""
    query = photo()[:, ::-1][:, :240]
    mirror = np.array([[-1.0, 0, 319], [0, 1, 0], [0, 0, 1]])
    assert words(_stated(query, photo(), mirror)) == "mirrored, cropped to 75 %"


def test_statements_of_fuller_photo_extend_and_of_page_frame() -> None:
    """A picture that goes on over the border is more of it; a step there is a frame."""
    crop = np.ascontiguousarray(photo()[40:280, 40:280])
    back = np.array([[1.0, 0, -40], [0, 1, -40], [0, 0, 1]])
    assert _codes(photo(), crop, back) == ["extended"]
    framed = np.full((320, 320, 3), 250, np.uint8)
    framed[40:280, 40:280] = crop
    assert _codes(framed, crop, back) == ["framed"]


def test_statements_of_grey_picture_lose_colours_and_of_sepia_do_not() -> None:
    """Colours are gone only if none is left."""
    grey = cv2.cvtColor(photo(), cv2.COLOR_RGB2GRAY)[..., None]
    assert "without_colours" in _codes(np.repeat(grey, 3, axis=2), photo())
    sepia = np.clip(grey * np.array([1.1, 0.95, 0.7]), 0, 255).astype(np.uint8)
    codes = _codes(sepia, photo())
    assert "tinted" in codes
    assert "without_colours" not in codes


def test_statements_of_negative_name_it_and_no_tones() -> None:
    """Reversed tones are not compared in brightness."""
    assert "negative" in _codes(255 - photo(), photo(), negative=True)


def test_statements_of_perspective_are_slanted() -> None:
    """A homography far from any affine map is a slant."""
    there = np.array([[1.1, 0.02, -10], [0.02, 1.05, -4], [3e-4, 1e-4, 1.0]])
    size = (320, 320)
    query = cv2.warpPerspective(photo(), np.linalg.inv(there), size)
    assert "slanted" in _codes(np.asarray(query, np.uint8), photo(), there)


def test_statements_of_small_part_ask_more_of_a_slant() -> None:
    """The perspective of an inset's map is its error: it counts over the inset alone."""
    query = np.full((640, 640, 3), 90, np.uint8)
    query[64:224, 64:224] = cv2.resize(photo(), (160, 160), interpolation=cv2.INTER_AREA)
    there = np.array([[2.0, 0, -127.5], [0, 2.0, -127.5], [1e-4, 0, 1.0]])
    codes = _codes(query, photo(), there)
    assert "framed" in codes
    assert "slanted" not in codes


def test_statements_name_caption_with_its_edge() -> None:
    """A bar over the lowest fifth is a caption there."""
    query = photo()
    query[256:] = 0
    cv2.putText(query, "BEST PRICE", (40, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255,) * 3, 3)
    assert words(_stated(query, photo())) == "a caption over the lowest 20 %"


def test_statements_name_uncompared_content_last() -> None:
    """It stands after a semicolon in words."""
    said = words(_stated(photo(), photo(), HERE, "frames"))
    assert said == "no change; only one frame was compared"


def test_caption_edge_of_sticker_is_none() -> None:
    """A sticker is no bar."""
    assert caption_edge(Box(0.1, 0.1, 0.3, 0.3)) is None
    assert caption_edge(Box(0.0, 0.4, 1.0, 0.1)) == "across"


def test_caption_edge_of_censor_bar_is_none() -> None:
    """A bar over less than half of the width covers something; a line of words is wider."""
    assert caption_edge(Box(0.27, 0.77, 0.46, 0.1)) is None
    assert caption_edge(Box(0.17, 0.79, 0.66, 0.1)) == "bottom"


def test_words_render_every_code() -> None:
    """No statement is left without words."""
    params: dict[str, float | str] = {"percent": 12, "degrees": 3, "ratio": 1.2, "edge": "top"}
    for code in get_args(StatementCode):
        assert words((Statement(code, params),))


def test_words_of_the_same_file_name_the_earlier_copy() -> None:
    """The statements of the copy that came before follow the one about the file."""
    same, turned = Statement("same_file"), Statement("turned", {"degrees": 90})
    assert words((same,)) == "the same file, byte for byte"
    said = (same, Statement("mirrored"), turned)
    assert words(said) == (
        "the same file, byte for byte, as an earlier copy: mirrored, turned by 90 degrees"
    )
