"""Named edits: the changes people make to a photo before they upload it again.

Each is a pure function of a picture and a seed, and ends in JPEG bytes as an upload would.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random

from msgspec import Struct
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from evaluation import synthetic_photos

_QUALITY = 90
_WORDS = (
    "when you finally find it nobody told me this is how monday looks best price call now "
    "original leather size forty two wait for the end it works again new in box do not miss"
)


class Edit(Struct, frozen=True):
    """One named edit, and the share of photos whose edited copy has to be recognised."""

    name: str
    title: str
    """Description for a table."""
    expected: float | None
    """Required recall, 0 to 1; None: it is reported only."""
    make: Callable[[Image.Image, Random], Image.Image]
    quality: int = _QUALITY
    """JPEG quality of the resulting file."""

    def image(self, image: Image.Image, seed: int | str = 0) -> Image.Image:
        """Edit an RGB picture; the same seed makes the same edit. The result is RGB."""
        kept = f"{self.name} {seed}".encode("utf-8", "surrogateescape")  # names of files are seeds
        draw = Random(kept)  # noqa: S311 a picture, not a secret
        return self.make(image.convert("RGB"), draw).convert("RGB")

    def apply(self, image: Image.Image, seed: int | str = 0) -> bytes:
        """Edit a picture and encode it as JPEG of this edit's quality."""
        return jpeg(self.image(image, seed), self.quality)


def jpeg(image: Image.Image, quality: int = _QUALITY) -> bytes:
    """Encode as JPEG with Pillow's usual chroma subsampling; `quality` is 1 to 95."""
    held = io.BytesIO()
    image.convert("RGB").save(held, "JPEG", quality=quality)
    return held.getvalue()


# --- one thing done to it -----------------------------------------------------------------------


def _same(image: Image.Image, _: Random) -> Image.Image:
    return image


def scaled(image: Image.Image, across: float, down: float) -> Image.Image:
    """Resize by two factors, bicubic with Pillow's own smoothing; at least one pixel remains."""
    size = (max(1, round(image.width * across)), max(1, round(image.height * down)))
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float, draw: Random) -> Image.Image:
    """Cut out `share` of the area, in the picture's own proportions, anywhere in it."""
    width = max(1, round(image.width * share**0.5))
    height = max(1, round(image.height * share**0.5))
    left = draw.randint(0, image.width - width)
    top = draw.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def captioned(image: Image.Image, words: str, *, at_top: bool = False) -> Image.Image:
    """Cover the lowest fifth of the picture, or the highest, with a black bar of white words."""
    made = image.copy()
    band = max(1, made.height // 5)
    top = 0 if at_top else made.height - band
    ImageDraw.Draw(made).rectangle((0, top, made.width, top + band), fill="black")
    _write(made, words, (0, top, made.width, top + band), "white")
    return made


def _write(image: Image.Image, words: str, box: tuple[int, int, int, int], fill: str) -> None:
    """Write one line into the middle of a box, as large as the box lets it be."""
    left, top, right, bottom = box
    draw = ImageDraw.Draw(image)
    size = max(6.0, (bottom - top) * 0.55)
    wide = draw.textlength(words, font=ImageFont.load_default(size))
    font = ImageFont.load_default(max(6.0, size * min(1.0, 0.92 * (right - left) / wide)))
    middle = ((left + right) / 2, (top + bottom) / 2)
    draw.text(middle, words, fill=fill, font=font, anchor="mm")


def _phrase(draw: Random, count: int = 5) -> str:
    return " ".join(draw.sample(_WORDS.split(), count))


def _screenshot(image: Image.Image, draw: Random) -> Image.Image:
    """Lay the picture off centre on a canvas 1.5 x 1.7 times its size, under a drawn bar."""
    width, height = round(image.width * 1.5), round(image.height * 1.7)
    made = Image.new("RGB", (width, height), draw.choice(["#f4f4f6", "#ffffff", "#18191b"]))
    bar = max(1, height // 12)
    ImageDraw.Draw(made).rectangle((0, 0, width, bar), fill="#2b4a7d")
    _write(made, _phrase(draw, 3), (0, 0, width, bar), "white")
    across, down = width - image.width, max(0, height - image.height - bar)
    left = draw.choice([across // 8, across - across // 8]) + draw.randint(0, across // 16)
    top = bar + draw.choice([down // 4, down - down // 4]) + draw.randint(0, down // 16)
    made.paste(image, (left, top))
    line = height - bar // 2
    _write(made, _phrase(draw, 6), (0, line - bar // 2, width, line + bar // 2), "#7b7f86")
    return made


def _watermark(image: Image.Image, draw: Random) -> Image.Image:
    """Write half transparent words across the whole picture, rising from left to right."""
    side = round((image.width**2 + image.height**2) ** 0.5)
    words = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(words)
    font = ImageFont.load_default(max(8.0, min(image.size) / 7))
    line = _phrase(draw, 2)
    step = max(10, min(image.size) // 3)
    for row, top in enumerate(range(0, side, step)):
        start = -(row % 2) * step
        while start < side:
            pen.text((start, top), line, fill=120, font=font)
            start += round(pen.textlength(line, font=font)) + step
    turned = words.rotate(30, Image.Resampling.BICUBIC)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    mask = turned.crop((left, top, left + image.width, top + image.height))
    made = image.copy()
    made.paste("white", (0, 0), mask)
    return made


def _collage(image: Image.Image, draw: Random) -> Image.Image:
    """Set another picture of the same size beside it, on either side."""
    other = synthetic_photos.photo(draw.getrandbits(32), image.width, image.height)
    first, second = (image, other) if draw.random() < 0.5 else (other, image)  # noqa: PLR2004 a coin
    made = Image.new("RGB", (2 * image.width, image.height))
    made.paste(first, (0, 0))
    made.paste(second, (image.width, 0))
    return made


def _three(image: Image.Image, draw: Random) -> Image.Image:
    """Do three different ones of the edits after one another, each saved as JPEG between."""
    for name in draw.sample(_CHAINABLE, 3):
        edit = EDITS[name]
        held = io.BytesIO(jpeg(edit.make(image, draw).convert("RGB"), edit.quality))
        image = Image.open(held).convert("RGB")
    return image


# --- the list -----------------------------------------------------------------------------------

_MIRROR = Image.Transpose.FLIP_LEFT_RIGHT

EDITS: dict[str, Edit] = {
    edit.name: edit
    for edit in (
        Edit("jpeg-30", "JPEG 30", 0.98, _same, 30),
        Edit("jpeg-10", "JPEG 10", 0.98, _same, 10),
        Edit("half", "half size", 0.98, lambda i, _: scaled(i, 0.5, 0.5)),
        Edit("quarter", "quarter size", 0.95, lambda i, _: scaled(i, 0.25, 0.25)),
        Edit("blur-2", "blur, radius 2", 0.98, lambda i, _: i.filter(ImageFilter.GaussianBlur(2))),
        Edit(
            "brightness",
            "brightness x 1.4",
            0.98,
            lambda i, _: ImageEnhance.Brightness(i).enhance(1.4),
        ),
        Edit(
            "contrast",
            "contrast x 1.4",
            0.98,
            lambda i, _: ImageEnhance.Contrast(i).enhance(1.4),
        ),
        Edit("grey", "grey", 0.98, lambda i, _: i.convert("L")),
        Edit("mirror", "mirrored", 0.98, lambda i, _: i.transpose(_MIRROR)),
        Edit(
            "quarter-turn",
            "turned by 90 degrees",
            0.98,
            lambda i, _: i.transpose(Image.Transpose.ROTATE_90),
        ),
        # The canvas keeps its size: corners that turn out of it are lost, those left are black.
        Edit(
            "turn-10",
            "turned by 10 degrees",
            0.98,
            lambda i, r: i.rotate(r.choice([-10, 10]), Image.Resampling.BICUBIC),
        ),
        Edit("crop-90", "crop to 90 %", 0.98, lambda i, r: cropped(i, 0.9, r)),
        Edit("crop-70", "crop to 70 %", 0.98, lambda i, r: cropped(i, 0.7, r)),
        Edit("crop-40", "crop to 40 %", 0.98, lambda i, r: cropped(i, 0.4, r)),
        Edit("crop-25", "crop to 25 %", 0.95, lambda i, r: cropped(i, 0.25, r)),
        Edit(
            "caption",
            "caption over the lowest fifth",
            0.98,
            lambda i, r: captioned(i, _phrase(r)),
        ),
        Edit("screenshot", "screenshot frame", 0.98, _screenshot),
        Edit(
            "border",
            "border of 40 pixels",
            0.98,
            lambda i, r: ImageOps.expand(i, 40, r.choice(["white", "black"])),
        ),
        Edit("stretch", "stretched x 1.3", 0.98, lambda i, _: scaled(i, 1.3, 1.0)),
        Edit(
            "mirror-crop-70",
            "mirrored, crop to 70 %",
            0.95,
            lambda i, r: cropped(i.transpose(_MIRROR), 0.7, r),
        ),
        # Saved at quality 10 last, so that its blocks are those of the small picture: the harder
        # of the two orders.
        Edit(
            "jpeg-10-half-crop-90",
            "JPEG 10, half size, crop to 90 %",
            0.95,
            lambda i, r: scaled(cropped(i, 0.9, r), 0.5, 0.5),
            10,
        ),
        Edit(
            "caption-top",
            "caption over the highest fifth",
            None,
            lambda i, r: captioned(i, _phrase(r), at_top=True),
        ),
        Edit("watermark", "watermark across", None, _watermark),
        Edit("collage", "collage of two", None, _collage),
        Edit("three", "three edits after one another", None, _three),
    )
}
"""Every edit by its name, in the order of the table."""

_CHAINABLE = [
    name
    for name, edit in EDITS.items()
    if edit.expected is not None and not name.startswith(("mirror-crop", "jpeg-10-half"))
]
