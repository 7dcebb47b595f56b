"""Pictures without keypoints: small Lab pictures under eight turns."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.fingerprint.fingerprint import decode_preview, encode_preview
from core.matching.regions import homography, plain_pictures
from core.types import Pixels


def _preview(image: Image.Image) -> Pixels:
    return decode_preview(encode_preview(np.asarray(image.convert("RGB"))))


def _icon(shift: int = 0, colour: str = "#c02040") -> Image.Image:
    made = Image.new("RGB", (256, 200), "#f0f0f4")
    ImageDraw.Draw(made).ellipse((40 + shift, 30, 130 + shift, 120), fill=colour)
    return made


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_icon_is_itself(turn: int) -> None:
    """Every turn is found, also of a smaller file."""
    array = np.asarray(_icon())
    turned = np.rot90(array[:, ::-1] if turn >= 4 else array, turn % 4)
    small = Image.fromarray(np.ascontiguousarray(turned)).resize((100, 100))
    back = plain_pictures.turn_of(_preview(_icon()), _preview(small))
    assert back == turn


@pytest.mark.parametrize("other", [_icon(60), _icon(colour="#2040c0"), _icon(14)])
def test_another_icon_is_another(other: Image.Image) -> None:
    """Another place, another colour and a small shift are seen."""
    assert plain_pictures.turn_of(_preview(_icon()), _preview(other)) is None


def test_one_colour_and_a_tiny_picture_say_nothing() -> None:
    """Flat pictures are not even copies of themselves."""
    flat, tiny = (_preview(Image.new("RGB", size, "grey")) for size in ((200, 200), (8, 8)))
    assert plain_pictures.turn_of(flat, flat) is None
    assert plain_pictures.turn_of(tiny, tiny) is None


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_leads_every_pixel_where_numpy_puts_it(turn: int) -> None:
    """Mirror first, then counter-clockwise quarters, as np.rot90 has them."""
    height, width = 5, 7
    here = np.arange(height * width).reshape(height, width)
    there = np.rot90(here[:, ::-1] if turn >= 4 else here, turn % 4)
    matrix = plain_pictures.turned_map(turn, (width, height), (there.shape[1], there.shape[0]))
    y, x = np.mgrid[0:height, 0:width]
    moved = homography.project(matrix, np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.rint(moved).astype(int).T
    assert np.allclose(moved, np.rint(moved), atol=1e-9)
    assert np.array_equal(there[row, column], here.ravel())
