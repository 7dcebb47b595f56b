"""Made pictures and named edits: the same from the same seed, and what their names say."""

from __future__ import annotations

import io
import itertools

import cv2
import numpy as np
import pytest
from PIL import Image

from core.fingerprint import phash
from evaluation.edits import ALL_EDITS
from tests.samples.pictures import EDITS, Edit, photo


@pytest.fixture(scope="module")
def made() -> Image.Image:
    """Return a photo of 320 x 240 pixels."""
    return photo(3, 320, 240)


Others = tuple[Image.Image, ...]


@pytest.fixture(scope="module")
def others() -> Others:
    """Return small photos for collages and screens."""
    return tuple(photo(seed, 64, 48) for seed in range(20, 28))


@pytest.mark.parametrize("edit", ALL_EDITS.values(), ids=ALL_EDITS)
def test_edits_know_no_chance(edit: Edit, made: Image.Image, others: Others) -> None:
    """The same picture and seed give the same file, and the picture itself stays as it was."""
    before = made.tobytes()
    data = edit.apply(made, "a.jpg", others)
    assert data == edit.apply(made, "a.jpg", others)
    assert made.tobytes() == before
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == edit.format


@pytest.mark.parametrize("edit", ALL_EDITS.values(), ids=ALL_EDITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 120), (120, 3)])
def test_edits_take_any_picture(edit: Edit, size: tuple[int, int], others: Others) -> None:
    """No picture is too small or too narrow to be edited."""
    data, truth = edit.apply_with_truth(photo(1, *size), others=others)
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
    assert len(truth.homography) == 9


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("half", (160, 120)),
        ("quarter", (80, 60)),
        ("quarter-turn", (240, 320)),
        ("turn-10", (320, 240)),
        ("crop-90", (304, 228)),
        ("crop-70", (268, 201)),
        ("crop-40", (202, 152)),
        ("crop-25", (160, 120)),
        ("screenshot", (480, 408)),
        ("border", (400, 320)),
        ("stretch", (416, 240)),
        ("mirror-crop-70", (268, 201)),
        ("jpeg-10-half-crop-90", (152, 114)),
        ("collage", (640, 240)),
    ],
)
def test_edits_do_what_they_say(name: str, size: tuple[int, int], made: Image.Image) -> None:
    """Crops keep their share of the area, frames and stretches have their sizes."""
    assert EDITS[name].image(made).size == size


@pytest.mark.parametrize(
    "name",
    [
        "mirror",
        "quarter-turn",
        "turn-270",
        "flip",
        "turn-15",
        "crop-25",
        "squeeze-story",
        "banner",
        "perspective-20",
        "print",
        "polaroid",
        "screen-slanted",
        "slide",
        "inset",
        "collage-9",
        "chain-screen",
        "chain-watermark",
        "desktop",
    ],
)
def test_truth_lays_the_edit_over_its_original(
    name: str, made: Image.Image, others: Others
) -> None:
    """The stated homography brings the edited picture back to where it came from."""
    data, truth = ALL_EDITS[name].apply_with_truth(made, 5, others)
    with Image.open(io.BytesIO(data)) as opened:
        edited = opened.convert("L")
    width, height = edited.size
    shares = np.array(truth.homography).reshape(3, 3)
    frame = np.diag([320.0, 240.0, 1.0]) @ shares @ np.diag([1 / width, 1 / height, 1.0])
    laid = cv2.warpPerspective(np.asarray(edited), frame, (320, 240))
    seen = cv2.warpPerspective(np.ones((height, width), np.uint8), frame, (320, 240)) > 0
    if name == "collage-9":  # its cell is a square
        assert truth.seen == pytest.approx(0.75, abs=0.02)
        seen[:, :45] = seen[:, 275:] = False
    else:
        assert seen.mean() == pytest.approx(truth.seen, abs=0.02)
    one = cv2.GaussianBlur(laid, (0, 0), 2)[seen]
    other = cv2.GaussianBlur(np.asarray(made.convert("L")), (0, 0), 2)[seen]
    assert np.corrcoef(one, other)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "done", "kinds"),
    [
        ("jpeg-30", {"reencoded"}, set()),
        ("flip", {"mirrored", "turned"}, set()),
        ("turn-45", {"turned"}, set()),
        ("squeeze-square", {"stretched"}, set()),
        ("chain-vintage", {"mirrored", "cropped", "tinted", "uneven_light"}, set()),
        ("meme-two-lines", {"caption"}, {"laid_over"}),
        ("avatar-transparent", {"cropped", "cut_away"}, {"cut_away"}),
        ("before-after", {"replaced"}, {"replaced"}),
        ("inset", {"framed", "enlarged"}, set()),
    ],
)
def test_truth_names_what_was_done(
    name: str, done: set[str], kinds: set[str], made: Image.Image, others: Others
) -> None:
    """Codes follow from the geometry and the step, kinds of regions from the pixels."""
    big = tuple(other.resize((640, 480)) for other in others)
    _, truth = ALL_EDITS[name].apply_with_truth(made, 5, big)
    assert truth.done == done
    assert {region.kind for region in truth.regions} == kinds
    assert not truth.true & {"other_content", "small_print", "uncompared_frames"}


def test_truth_measures_light(made: Image.Image) -> None:
    """A factor of 1.4 on all levels is brighter and of more contrast, and not darker."""
    _, truth = EDITS["brightness"].apply_with_truth(made)
    assert {"brighter", "more_contrast"} <= truth.true
    assert not truth.true & {"darker", "less_contrast", "blurred", "without_colours"}
    grey = EDITS["grey"].apply_with_truth(made)[1].true
    assert "without_colours" in grey
    assert not grey & {"brighter", "darker", "negative"}


def test_truth_of_words_is_also_laid_over(made: Image.Image) -> None:
    """Words over a picture are laid over it, whether they are called so or more closely."""
    for name, closer in (("caption", "caption"), ("watermark", "watermark")):
        truth = EDITS[name].apply_with_truth(made)[1]
        assert closer in truth.done
        assert "laid_over" in truth.also


def test_truth_measures_the_file_as_it_is_saved(made: Image.Image) -> None:
    """JPEG quality 5 takes fine texture, though no step did."""
    assert "blurred" in ALL_EDITS["jpeg-5"].apply_with_truth(made)[1].also
    assert "blurred" not in ALL_EDITS["jpeg-85"].apply_with_truth(made)[1].true


def test_truth_boxes_a_caption(made: Image.Image) -> None:
    """The box of a caption is the lowest fifth."""
    (region,) = EDITS["caption"].apply_with_truth(made)[1].regions
    assert (region.x, region.width) == (0, 1)
    assert region.y == pytest.approx(0.8, abs=0.03)


def test_seeds_place_crops(made: Image.Image) -> None:
    """Two seeds cut at two places."""
    crops = [EDITS["crop-25"].image(made, seed).tobytes() for seed in range(4)]
    assert len(set(crops)) == 4


def test_caption_covers_the_lowest_fifth(made: Image.Image) -> None:
    """Above the bar nothing changes, in it nothing is left."""
    before, after = np.asarray(made), np.asarray(EDITS["caption"].image(made))
    assert (before[:192] == after[:192]).all()
    assert np.median(after[192:]) == 0
    assert after[192:].max() > 200


def test_photos_are_their_seed() -> None:
    """The same seed is the same picture."""
    assert photo(5, 320, 240).tobytes() == photo(5, 320, 240).tobytes()


def test_photos_hash_like_photos() -> None:
    """Hashes hold on to them, and no two lie within 12 bits of each other in any turn."""
    hashes = [
        phash.turns(np.asarray(photo(seed, 320, 240).resize((160, 120)))) for seed in range(16)
    ]
    apart = [
        min(phash.hamming(turn, other[0]) for turn in one)
        for one, other in itertools.permutations(hashes, 2)
    ]
    assert min(apart) > 12
    assert phash.comparable(np.asarray(photo(0, 320, 240)))
