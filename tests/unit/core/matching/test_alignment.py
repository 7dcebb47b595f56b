"""Confirmation: whether two pictures are one photo, and the evidence that is returned."""

import io
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from core.fingerprint import keypoints, phash
from core.fingerprint.fingerprint import decode_preview, encode_preview, fingerprint
from core.imaging import large_preview
from core.matching.alignment import AlignedPicture, align, align_all
from core.matching.policy import POLICY
from core.types import Hit, Limits
from evaluation.edits import EDITS
from evaluation.synthetic_photos import photo
from evaluation.synthetic_templates import TEMPLATES
from evaluation.synthetic_templates.screens import chat
from tests.samples.pictures import jpeg, png

HIT = Hit(image_id="0190", votes=9, similarity=0.9)
SIZE = (400, 300)


def _picture(image: Image.Image) -> AlignedPicture:
    """Return what the service aligns: a stored preview, hashes, and keypoints made on demand."""
    made = image.copy()
    made.thumbnail((512, 512))
    preview = decode_preview(encode_preview(np.asarray(made.convert("RGB"))))

    return AlignedPicture(
        preview=preview,
        width=image.width,
        height=image.height,
        turns=phash.turns(preview),
        detail=lambda: keypoints.detail(preview),
    )


@cache
def _photo(seed: int) -> Image.Image:
    return photo(seed, *SIZE)


@cache
def _original(seed: int) -> AlignedPicture:
    return _picture(_photo(seed))


def _edited(name: str, seed: int) -> AlignedPicture:
    return _picture(Image.open(io.BytesIO(EDITS[name].apply(_photo(seed), seed))))


@pytest.mark.parametrize("name", [e.name for e in EDITS.values() if e.expected is not None])
def test_an_edited_copy_is_confirmed(name: str) -> None:
    """Every edit that has to be recognised is, by its pixels."""
    told = align(_edited(name, 11), _original(11), HIT, POLICY)
    assert (told.confirmed, "alignment" in told.evidence.signals) == (True, True)


@pytest.mark.parametrize("seed", range(20, 26))
def test_another_photo_is_not(seed: int) -> None:
    """The distance in a candidate list does not matter."""
    told = align(_original(seed), _original(11), HIT, POLICY)
    assert (told.confirmed, told.evidence.transform, told.evidence.words) == (False, None, "")


@pytest.mark.parametrize("name", ["jpeg-30", "jpeg-10", "half", "quarter", "grey", "brightness"])
def test_a_clean_copy_has_no_changed_regions(name: str) -> None:
    """Re-encoding, resizing and other light change nothing in the picture."""
    evidence = align(_edited(name, 11), _original(11), HIT, POLICY).evidence
    assert (evidence.changed_regions, evidence.changed_share) == ((), 0.0)


def test_a_caption_is_one_region_over_the_lowest_fifth() -> None:
    """Its box is exact to a few pixels, and named in words."""
    evidence = align(_edited("caption", 11), _original(11), HIT, POLICY).evidence
    (box,) = evidence.changed_regions
    assert (box.x, box.y, box.x + box.width, box.y + box.height) == pytest.approx(
        (0.0, 0.8, 1.0, 1.0), abs=0.02
    )
    assert evidence.changed_share == pytest.approx(0.2, abs=0.02)
    assert evidence.words == "a caption over the lowest 20 %"


def test_a_crop_says_where_it_lies() -> None:
    """The map leads the crop's corners to the place it was cut from; what is seen is its share."""
    box = (100, 60, 340, 260)
    told = align(_picture(_photo(11).crop(box)), _original(11), HIT, POLICY)
    made = told.evidence.transform
    assert told.confirmed
    assert made is not None
    a, b, c, d, e, f = made.matrix
    assert (c, f, a + b + c, d + e + f) == pytest.approx((0.25, 0.2, 0.85, 0.8667), abs=0.01)
    assert (made.mirrored, made.rotation) == (False, pytest.approx(0.0, abs=0.5))
    assert (made.seen, made.filled, made.scale) == pytest.approx((0.4, 1.0, 1.0), abs=0.02)
    assert told.evidence.words == "cropped to 40 %"


@pytest.mark.parametrize(
    ("operation", "turn", "words", "mirrored", "rotation"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored", "mirrored", True, 0),
        (Image.Transpose.ROTATE_90, "turned 270", "turned by 90 degrees", False, -90),
        (Image.Transpose.ROTATE_180, "turned 180", "turned by 180 degrees", False, 180),
    ],
)
def test_a_turn_is_told(
    operation: Image.Transpose, turn: str, words: str, *, mirrored: bool, rotation: int
) -> None:
    """The turn that lays the picture onto its original, in the hash's terms and in degrees."""
    evidence = align(_picture(_photo(11).transpose(operation)), _original(11), HIT, POLICY)
    made = evidence.evidence.transform
    assert made is not None
    assert (evidence.evidence.turn, evidence.evidence.words) == (turn, words)
    assert made.mirrored is mirrored
    assert abs((made.rotation - rotation + 180) % 360 - 180) < 0.5


def test_the_same_pictures_give_the_same_answer_in_every_thread() -> None:
    """No chance, no shared state."""
    query = _edited("screenshot", 11)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: align(query, _original(11), HIT, POLICY), range(8)))
    assert told == [told[0]] * 8
    assert told[0].confirmed


def test_signals_say_what_found_it() -> None:
    """The signals of the candidate's hit, the hash if it is near, and the alignment."""
    plain = Hit(image_id="0190")
    copy = align(_edited("half", 11), _original(11), plain, POLICY).evidence
    found = align(_edited("crop-25", 11), _original(11), HIT, POLICY).evidence
    assert copy.signals == ("phash", "alignment")
    assert found.signals == ("visual", "features", "alignment")


def _garment(seed: int, width: int = 0, *, pattern: bool) -> Image.Image:
    """Return a shirt on white: one outline but for `width`; plain dark, or with a print."""
    mask = Image.new("L", SIZE, 0)
    shape = [(120 - width, 40), (280 + width, 40), (360, 120), (310, 150), (290 + width, 120)]
    shape += [(290 + width, 280), (110 - width, 280), (110 - width, 120), (90, 150), (40, 120)]
    ImageDraw.Draw(mask).polygon(shape, fill=255)
    cloth = photo(seed, *SIZE) if pattern else Image.new("RGB", SIZE, (28, 28, 34))
    made = Image.new("RGB", SIZE, "white")
    made.paste(cloth, (0, 0), mask)
    return made


def test_one_outline_with_two_prints_is_two_pictures() -> None:
    """The shape alone proves nothing, though the hashes are near."""
    one, two = (_picture(_garment(seed, pattern=True)) for seed in (1, 2))
    assert not align(one, two, HIT, POLICY).confirmed
    assert not align(two, one, HIT, POLICY).confirmed


def test_two_plain_outlines_that_nearly_agree_are_two_pictures() -> None:
    """Different black leggings hash within four bits."""
    one, two = (_picture(_garment(0, width, pattern=False)) for width in (0, 7))
    told = align(one, two, HIT, POLICY)
    assert (told.confirmed, (told.evidence.hamming or 0) <= POLICY.phash_radius) == (False, True)


def test_a_plain_outline_is_itself_when_encoded_again() -> None:
    """Edges that lie exactly on each other are enough."""
    one = _garment(0, pattern=False)
    held = io.BytesIO()
    one.resize((200, 150)).save(held, "JPEG", quality=30)
    assert align(_picture(Image.open(held)), _picture(one), HIT, POLICY).confirmed


def test_words_laid_over_one_photo_are_reported() -> None:
    """Two captions of one photo confirm each other, and the caption is the changed region."""
    pictures = []
    for words in ("WHEN MONDAY COMES", "NOBODY TOLD ME"):
        made = _photo(11).copy()
        ImageDraw.Draw(made).rectangle((0, 0, 400, 50), fill="white")
        ImageDraw.Draw(made).text((30, 12), words, fill="black", font_size=28)
        pictures.append(_picture(made))
    told = align(*pictures, HIT, POLICY)
    assert told.confirmed
    assert told.evidence.changed_regions
    assert all(box.y + box.height < 0.2 for box in told.evidence.changed_regions)


def test_a_watermark_is_seen_through() -> None:
    """Half transparent words all over only lighten it: the photo beneath is still the same."""
    evidence = align(_edited("watermark", 11), _original(11), HIT, POLICY).evidence
    assert (evidence.words, "alignment" in evidence.signals) == ("a watermark over it", True)
    assert evidence.changed_regions


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (12, 9)])
@pytest.mark.parametrize("flat", [True, False])
def test_the_smallest_and_flattest_pictures_are_never_confirmed(
    size: tuple[int, int], *, flat: bool
) -> None:
    """They are too small, thin or plain for blocks to count, either way round and with itself."""
    odd = _picture(Image.new("RGB", size, "grey") if flat else _photo(11).resize(size))
    pairs = [(odd, _original(11)), (_original(11), odd), (odd, odd)]
    assert [align(*pair, HIT, POLICY).confirmed for pair in pairs] == [False] * 3


def _decoded(data: bytes) -> AlignedPicture:
    """Return a file as the service aligns it, with the large preview that a drawn one has."""
    canonical, made = fingerprint(data, Limits())
    preview = decode_preview(encode_preview(canonical.preview))
    return AlignedPicture(
        preview=preview,
        width=made.width,
        height=made.height,
        turns=made.turns,
        detail=lambda: keypoints.detail(preview),
        large=lambda: large_preview.decode(canonical.large) if canonical.large else None,
    )


def _long_page(seed: int) -> Image.Image:
    """Draw lines of random letters on a page of 240 by 4,800 pixels."""
    draw, letters = np.random.default_rng(seed), np.array(list("abcdefghijklmnopqrstuvwxyz  "))
    page = Image.new("RGB", (240, 4800), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for top in range(10, 4780, 22):
        pen.text((12, top), "".join(draw.choice(letters, 26)), "black", font)
    return page


def test_strips_are_compared() -> None:
    """A long page is found in another size and encoding; one with other words is not."""
    page = _long_page(1)
    small = page.resize((180, 3600), Image.Resampling.BICUBIC)
    one, copy, other = (
        _decoded(data) for data in (png(page), jpeg(small, 80), jpeg(_long_page(2), 80))
    )
    assert align(copy, one, HIT, POLICY).relation == "copy"
    assert align(other, one, HIT, POLICY).relation != "copy"


def test_another_view_of_a_scene_is_a_variant() -> None:
    """Two eyes see what is near moved against what is far: no copy has that."""
    left = _photo(11)
    right = Image.new("RGB", SIZE)
    for band, shift in enumerate((0, 12, 3, 14, 6, 0, 13, 5, 10, 2)):
        row = left.crop((0, 30 * band, 400, 30 * band + 30))
        right.paste(
            row.transform(row.size, Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0)), (0, 30 * band)
        )
    told = align(_picture(right), _picture(left), HIT, POLICY)
    assert told.relation == "variant"
    assert told.evidence.statements[0].code == "other_view"


def test_print_that_moved_is_no_other_view() -> None:
    """Messages of a chat move along one line as parallax does, and are other content."""
    first, second = (_decoded(jpeg(chat(seed), 92)) for seed in (41, 42))
    told = align(second, first, HIT, POLICY)
    assert told.relation == "variant"
    assert "other_view" not in {one.code for one in told.evidence.statements}


def test_of_many_instances_of_a_template_the_closest_are_examined() -> None:
    """The copy is found among them wherever it stands, and the rest are variants of one layout."""
    forms = [_picture(TEMPLATES["forms"](seed)) for seed in range(7)]
    image = TEMPLATES["forms"](4)
    query = _picture(image.resize((image.width * 3 // 4, image.height * 3 // 4)))
    told = align_all(query, [(form, HIT) for form in forms], POLICY)
    assert [one.relation for one in told] == ["variant"] * 4 + ["copy"] + ["variant"] * 2
    codes = [one.evidence.statements[0].code for one in told]
    assert codes.count("same_layout") == 6 - POLICY.examined
    again = align_all(query, [(form, HIT) for form in reversed(forms)], POLICY)
    assert again[::-1] == told
