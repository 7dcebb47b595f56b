"""Differences of a picture from its original: the finding, the regions and their kinds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.matching.differences.examination import examine
from core.types import Pixels
from tests.samples.pixel_pairs import HERE, SIDE, jpeg, page, photo


@pytest.mark.parametrize("quality", [95, 60, 25])
def test_examine_reencoded_photo_is_a_copy_without_changes(quality: int) -> None:
    """Compression alone leaves no region."""
    found = examine(jpeg(photo(), quality), photo(), HERE)
    assert (found.finding, found.changed, found.changed_share) == ("copy", (), 0.0)


def test_examine_toned_photo_is_a_copy_without_changes() -> None:
    """A colour matrix is fitted before pixels are compared."""
    original = photo()
    warm = np.clip(original * [0.7, 0.9, 1.05] + [30, 20, 5], 0, 255).astype(np.uint8)
    assert examine(jpeg(warm), original, HERE).finding == "copy"


def test_examine_box_laid_over_is_located_in_shares_of_the_original() -> None:
    """Bounds are exact to a few pixels."""
    edited = photo()
    edited[64:128, 160:256] = (0, 0, 200)
    found = examine(jpeg(edited), photo(), HERE)
    assert found.finding == "changed"
    (region,) = found.changed
    assert region.kind == "laid_over"
    bounds = (region.x, region.y, region.width, region.height)
    assert bounds == pytest.approx((0.5, 0.2, 0.3, 0.2), abs=0.03)
    assert found.changed_share == pytest.approx(0.06, abs=0.015)


def test_examine_cropped_photo_is_compared_where_both_show_it() -> None:
    """The rest of the original is no difference."""
    original = photo()
    moved = np.array([[1.0, 0, 60], [0, 1, 40], [0, 0, 1]])
    found = examine(jpeg(original[40:240, 60:300]), original, moved)
    assert (found.finding, found.changed) == ("copy", ())


def test_examine_other_photo_in_part_is_replaced() -> None:
    """Matter of the same sort is no overlay."""
    edited = photo()
    edited[:, 200:] = photo(2)[:, 200:]
    found = examine(jpeg(edited), photo(), HERE)
    assert found.finding == "changed"
    assert {region.kind for region in found.changed} == {"replaced"}


@pytest.mark.parametrize("axes", [(145, 140), (135, 130)])
def test_examine_ellipse_on_white_is_cut_away(axes: tuple[int, int]) -> None:
    """Plain ground up to the edges is no overlay, nor the light of a picture that it covers."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(mask, (160, 160), axes, 0, 0, 360, 1, -1)
    edited = np.where(mask[..., None] > 0, photo(), 255).astype(np.uint8)
    found = examine(jpeg(edited), photo(), HERE)
    assert found.finding == "changed"
    assert {region.kind for region in found.changed} == {"cut_away"}
    assert found.measurement is not None
    assert found.measurement.noise < 15


def test_examine_bar_in_the_colour_of_a_dark_photo_is_laid_over() -> None:
    """A caption hides where the photo is black, and is no ground around it all the same."""
    y = np.mgrid[0:SIDE, 0:SIDE][0][..., None]
    dark = (photo() * np.where(y // 16 % 3 == 0, 0.0, 0.5)).astype(np.uint8)
    edited = dark.copy()
    edited[256:] = 0
    cv2.putText(edited, "it is mine", (40, 296), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255,) * 3, 3)
    found = examine(jpeg(edited), dark, HERE)
    assert found.finding == "changed"
    assert {region.kind for region in found.changed} == {"laid_over"}


def test_examine_cross_of_one_colour_is_laid_over() -> None:
    """Wide strokes through the middle reach all sides, and leave the picture around them."""
    edited = photo()
    for ends in (((0, 0), (SIDE, SIDE)), ((SIDE, 0), (0, SIDE))):
        cv2.line(edited, *ends, (200, 0, 0), 24)
    found = examine(jpeg(edited), photo(), HERE)
    assert {region.kind for region in found.changed} == {"laid_over"}


def test_examine_page_with_another_word_is_a_variant() -> None:
    """Two digits of a page are other content."""
    first = page("CORNER SHOP", "milk      1.20", "bread    2.45", "TOTAL   3.65")
    second = page("CORNER SHOP", "milk      1.20", "bread    2.95", "TOTAL   4.15")
    found = examine(jpeg(second), jpeg(first), HERE)
    assert found.finding == "variant"
    assert found.changed


def test_examine_page_reencoded_is_a_copy() -> None:
    """Compressed print is the same print."""
    printed = page("CORNER SHOP", "milk      1.20", "bread    2.45", "TOTAL   3.65")
    assert examine(jpeg(printed, 40), printed, HERE).finding == "copy"


def test_examine_same_pair_twice_is_equal() -> None:
    """The result depends on the pair alone."""
    edited = photo()
    edited[10:60, 10:200] = 255
    assert examine(edited, photo(), HERE) == examine(edited, photo(), HERE)


def test_examine_folding_homography_compares_nothing() -> None:
    """A map through infinity overlays nothing."""
    folded = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    assert examine(photo(), photo(), folded).measurement is None


def test_examine_vignette_and_leak_are_light() -> None:
    """Light that varies over the picture keeps fine texture, and is no region."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    dark = 1 - 1.5 * (x * x + y * y)
    leak = np.exp(-((x + 0.5) ** 2 + y * y) / 0.1)[..., None] * np.array([120, 60, 10])
    lit = np.clip(photo() * dark[..., None] + leak, 0, 255).astype(np.uint8)
    found = examine(jpeg(lit), photo(), HERE)
    assert (found.finding, found.changed) == ("copy", ())


def test_examine_mosaic_over_a_part_is_laid_over() -> None:
    """A mosaic keeps brightness and hides texture."""
    edited = photo()
    small = cv2.resize(edited[96:224, 96:224], (5, 5), interpolation=cv2.INTER_AREA)
    edited[96:224, 96:224] = cv2.resize(small, (128, 128), interpolation=cv2.INTER_NEAREST)
    found = examine(jpeg(edited), photo(), HERE)
    assert found.finding == "changed"
    assert {region.kind for region in found.changed} == {"laid_over"}


def test_examine_half_transparent_words_are_a_veil() -> None:
    """A watermark is lighter throughout, and the photo is seen through it."""
    veil = np.zeros((SIDE, SIDE, 3), np.uint8)
    for row in range(40, SIDE, 70):
        cv2.putText(veil, "SAMPLE", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (255,) * 3, 6)
    edited = np.where(veil > 0, 0.5 * photo() + 127, photo()).astype(np.uint8)
    found = examine(jpeg(edited), photo(), HERE)
    assert (found.finding, found.veiled) == ("changed", True)


def test_examine_drawn_thing_in_another_colour_is_recoloured() -> None:
    """The ground keeps its colour; a filter would move it, too."""
    first, second = (np.full((SIDE, SIDE, 3), 255, np.uint8) for _ in range(2))
    cv2.circle(first, (160, 150), 90, (200, 30, 30), -1)
    cv2.circle(second, (160, 150), 90, (30, 60, 200), -1)
    assert examine(jpeg(second), jpeg(first), HERE).finding == "recoloured"
    tinted = np.clip(first * [1.0, 0.9, 0.7], 0, 255).astype(np.uint8)
    assert examine(jpeg(tinted), jpeg(first), HERE).finding == "copy"


@pytest.mark.parametrize(
    ("dark", "light"), [((90, 60, 32), (225, 100, 36)), ((32, 35, 42), (30, 95, 185))]
)
def test_examine_thing_of_one_hue_is_recoloured_by_lightness(
    dark: tuple[int, int, int], light: tuple[int, int, int]
) -> None:
    """Brown and orange, or black and blue, on white: no light that keeps white does that."""
    pair = [np.full((SIDE, SIDE, 3), 255, np.uint8) for _ in range(2)]
    for plane, colour in zip(pair, (dark, light), strict=True):
        cv2.circle(plane, (160, 150), 90, colour, -1)
    for first, second in (pair, pair[::-1]):
        assert examine(jpeg(second), jpeg(first), HERE).finding == "recoloured"
        faded = (255 - (255 - first.astype(int)) // 2).astype(np.uint8)
        assert examine(jpeg(faded), jpeg(first), HERE).finding == "copy"
        gamma = (255 * (first / 255) ** 0.6).astype(np.uint8)
        assert examine(jpeg(gamma), jpeg(first), HERE).finding == "copy"
        assert examine(jpeg(first), jpeg(gamma), HERE).finding == "copy"


def test_examine_digits_below_legible_size_are_small_print() -> None:
    """Other digits of three pixels differ less than compression does, yet all the same."""
    first = _small_print(1)
    assert examine(_small_print(1, 40), first, HERE).finding == "copy"
    found = examine(_small_print(2), first, HERE)
    assert (found.finding, found.small_print) == ("variant", True)


def _small_print(seed: int, quality: int = 90) -> Pixels:
    """Shrink a page on which one column of many prices depends on the seed."""
    made = np.full((5 * SIDE, 5 * SIDE, 3), 252, np.uint8)
    same, other = np.random.default_rng(0), np.random.default_rng(seed)
    for row in range(60, 5 * SIDE, 48):
        for x, draw in (
            (60, same),
            (460, same),
            (860, same),
            (1260, other if row % 5 == 0 else same),
        ):
            text = f"{draw.integers(100, 999)}.{draw.integers(10, 99)}"
            cv2.putText(made, text, (x, row), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40,) * 3, 2)
    made = jpeg(made, quality)
    return np.asarray(cv2.resize(made, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def test_examine_caption_on_blurred_photo_is_a_change() -> None:
    """Flat ground makes a photo without edges no drawing, so words are not its other content."""
    ground = np.full((320, 320, 3), 200, np.uint8)
    ground[60:180, 60:220] = cv2.resize(photo(), (160, 120))
    blurred = np.asarray(cv2.GaussianBlur(ground, (0, 0), 3), np.uint8)
    query = blurred.copy()
    query[256:] = 0
    cv2.putText(query, "MINE", (60, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255,) * 3, 3)
    found = examine(query, blurred, HERE)
    assert found.finding == "changed"
    assert [one.kind for one in found.changed] == ["laid_over"]
