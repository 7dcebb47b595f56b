"""The shared region: found whatever covers the rest, and never by chance."""

import io
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from core.fingerprint import keypoints
from core.fingerprint.fingerprint import decode_preview, encode_preview
from core.fingerprint.keypoints import Floats, MatchedPoints
from core.matching.policy import POLICY
from core.matching.regions import homography, point_agreement, shared_region
from evaluation.edits import EDITS
from evaluation.synthetic_photos import photo

SIZE = (400, 300)


def _side(image: Image.Image) -> shared_region.Side:
    made = image.convert("RGB")
    made.thumbnail((512, 512))
    preview = decode_preview(encode_preview(np.asarray(made)))
    return shared_region.Side(preview, keypoints.unpack(keypoints.detail(preview)))


@cache
def _photo(seed: int) -> Image.Image:
    return photo(seed, *SIZE)


@cache
def _original() -> shared_region.Side:
    return _side(_photo(11))


def _meme(image: Image.Image) -> Image.Image:
    made = image.copy()
    pen = ImageDraw.Draw(made)
    for top in (2, 238):
        pen.text(
            (8, top), "ONE DOES NOT", fill="white", font_size=54, stroke_width=3, stroke_fill=0
        )
    return made


def _ellipse(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((40, 20, 360, 280), fill=255)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


def _scribbled(image: Image.Image) -> Image.Image:
    made = image.copy()
    draw = np.random.default_rng(1)
    for colour in ("red", "lime", "blue", "yellow"):
        line = [(x, float(draw.uniform(0, 300))) for x in range(0, 400, 20)]
        ImageDraw.Draw(made).line(line, fill=colour, width=7)
    return made


def _half_another(image: Image.Image) -> Image.Image:
    made = image.copy()
    made.paste(_photo(12).crop((0, 0, 200, 300)), (200, 0))
    return made


def _slanted(image: Image.Image) -> Image.Image:
    corners = (-40, -30, 20, 340, 430, 280, 380, 20)
    return image.transform(SIZE, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "edit", [_meme, _ellipse, _scribbled, _half_another, _slanted, ImageOps.invert]
)
def test_a_region_is_found_beneath_and_beside_other_matter(edit: object) -> None:
    """Words, a mask, scribbles, another half, perspective and a negative leave enough."""
    assert callable(edit)
    found = shared_region.find(_side(edit(_photo(11))), _original(), POLICY)
    assert found is not None
    assert shared_region.confirms(found, POLICY)
    assert found.points.negative is (edit is ImageOps.invert)


@pytest.mark.parametrize(("seed", "matchings"), [(11, 4), (20, 2)])
def test_negatives_are_matched_only_where_straight_matches_follow_a_map(
    seed: int, matchings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A solarised picture is found by both; of another photo none is reversed and matched."""
    matched, match = list[object](), keypoints.match

    def counted(
        query: MatchedPoints, candidate: MatchedPoints, ratio: float
    ) -> tuple[NDArray[np.intp], Floats]:
        matched.append(query)
        return match(query, candidate, ratio)

    monkeypatch.setattr(keypoints, "match", counted)
    half = ImageOps.solarize(_photo(seed), threshold=80)
    found = shared_region.find(_side(half), _original(), POLICY, negatives=False)
    assert len(matched) == matchings
    assert (found is not None and shared_region.confirms(found, POLICY)) is (seed == 11)


@pytest.mark.parametrize("name", ["crop-25", "screenshot", "turn-10", "mirror-crop-70", "collage"])
def test_the_map_of_an_edit_is_found(name: str) -> None:
    """Crops, frames, turns, mirrors and collages lie where the keypoints say."""
    edited = Image.open(io.BytesIO(EDITS[name].apply(_photo(11), 11)))
    found = shared_region.find(_side(edited), _original(), POLICY)
    assert found is not None
    assert shared_region.confirms(found, POLICY)
    assert found.points.mirrored is name.startswith("mirror")


@pytest.mark.parametrize("seed", range(20, 26))
def test_another_photo_shares_no_region(seed: int) -> None:
    """The matches of different photos are as many as chance gives."""
    found = shared_region.find(_side(_photo(seed)), _original(), POLICY)
    assert found is None or not shared_region.confirms(found, POLICY)


def test_a_picture_without_keypoints_shares_nothing() -> None:
    """Nothing is confirmed without matches, not even with itself."""
    flat = _side(Image.new("RGB", SIZE, "grey"))
    assert shared_region.find(flat, flat, POLICY) is None
    assert shared_region.find(flat, _original(), POLICY) is None


def test_the_map_of_a_crop_is_exact() -> None:
    """Its corners lie within a pixel of the place it was cut from."""
    found = shared_region.find(_side(_photo(11).crop((100, 60, 340, 260))), _original(), POLICY)
    assert found is not None
    corners = homography.project(found.points.matrix, np.array([[0.0, 0], [239, 199]]))
    assert np.abs(corners - [[100, 60], [339, 259]]).max() < 1.0


def test_false_alarms_fall_with_the_matches_that_agree() -> None:
    """More inliers are less likely by chance; more tentative matches make chance likelier."""
    few, many = (point_agreement.log_nfa(k, 60, 4, 400 * 300, 4.0) for k in (10, 40))
    crowded = point_agreement.log_nfa(10, 400, 4, 400 * 300, 4.0)
    assert many < few < crowded
    assert point_agreement.log_nfa(4, 60, 4, 400 * 300, 4.0) == 0.0


def _mosaic(image: Image.Image) -> Image.Image:
    small = image.resize((SIZE[0] // 15, SIZE[1] // 15), Image.Resampling.BOX)
    return small.resize(SIZE, Image.Resampling.NEAREST)


def _is_found(seed: int, *, likely: bool) -> bool:
    mosaic = _side(_mosaic(_photo(13)))
    found = shared_region.find(mosaic, _side(_photo(seed)), POLICY, likely=likely)
    return found is not None and shared_region.confirms(found, POLICY)


def test_a_likely_pair_is_looked_at_again_reduced() -> None:
    """A mosaic leaves what is coarse alone; another photo stays another one."""
    assert not _is_found(13, likely=False)
    assert _is_found(13, likely=True)
    assert not _is_found(12, likely=True)
