"""Edits that lay words over the picture: captions, memes, watermarks and logos."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw, ImageFont

from evaluation.edits.canvas import Canvas, Step

_WORDS = (
    "when you finally find it nobody told me this is how monday looks best price call now "
    "original leather size forty two wait for the end it works again new in box do not miss"
)


def phrase(draw: Random, count: int = 5) -> str:
    """Draw so many words of a caption."""
    return " ".join(draw.sample(_WORDS.split(), count))


def write(image: Image.Image, words: str, box: tuple[int, int, int, int], fill: str) -> None:
    """Write one line into the middle of a box, as large as the box lets it be."""
    left, top, right, bottom = box
    draw = ImageDraw.Draw(image)
    size = max(6.0, (bottom - top) * 0.55)
    wide = draw.textlength(words, font=ImageFont.load_default(size))
    font = ImageFont.load_default(max(6.0, size * min(1.0, 0.92 * (right - left) / wide)))
    middle = ((left + right) / 2, (top + bottom) / 2)
    draw.text(middle, words, fill=fill, font=font, anchor="mm")


def captioned(image: Image.Image, words: str, *, at_top: bool = False) -> Image.Image:
    """Cover the lowest fifth of the picture, or the highest, with a black bar of white words."""
    made = image.copy()
    band = max(1, made.height // 5)
    top = 0 if at_top else made.height - band
    ImageDraw.Draw(made).rectangle((0, top, made.width, top + band), fill="black")
    write(made, words, (0, top, made.width, top + band), "white")
    return made


def caption(*, at_top: bool = False) -> Step:
    """Make a step that lays a caption over the lowest fifth, or the highest."""

    def run(canvas: Canvas) -> Canvas:
        made = captioned(canvas.image, phrase(canvas.draw), at_top=at_top)
        return canvas.covered(made, "laid_over", "caption")

    return run


def meme(lines: int) -> Step:
    """Make a step that writes lines of white capitals with black edges at the top and bottom."""

    def run(canvas: Canvas) -> Canvas:
        made = canvas.image.copy()
        pen = ImageDraw.Draw(made)
        said = [phrase(canvas.draw, 3).upper() for _ in range(2 * lines)]
        longest = max(pen.textlength(line, font=ImageFont.load_default(100)) for line in said)
        size = max(6.0, min(100 * 0.94 * made.width / longest, 0.13 * made.height))
        font = ImageFont.load_default(size)
        for number, line in enumerate(said):
            row = number if number < lines else number - 2 * lines
            y = size * (0.65 + 1.1 * row) if row >= 0 else made.height + size * (0.45 + 1.1 * row)
            pen.text(
                (made.width / 2, y),
                line,
                fill="white",
                font=font,
                anchor="mm",
                stroke_width=max(1, round(size / 9)),
                stroke_fill="black",
            )
        return canvas.covered(made, "laid_over", "caption")

    return run


def bar_across(canvas: Canvas) -> Canvas:
    """Lay a half transparent bar with one line over it, as Snapchat does."""
    made = canvas.image.copy()
    high = max(2, round(canvas.height * 0.09))
    top = round(canvas.height * canvas.draw.uniform(0.4, 0.6))
    shade = Image.new("RGB", (canvas.width, high), "black")
    area = (0, top, canvas.width, top + high)
    made.paste(Image.blend(made.crop(area), shade, 0.6), area[:2])
    write(made, phrase(canvas.draw, 4), area, "white")
    return canvas.covered(made, "laid_over", "caption")


def large_word(canvas: Canvas) -> Canvas:
    """Write one word across the whole picture at 60 %."""
    layer = Image.new("L", canvas.image.size, 0)
    word = canvas.draw.choice(["SOLD", "FAKE", "SAMPLE", "EXPIRED", "DRAFT"])
    write(layer, word, (0, 0, canvas.width, canvas.height), "white")
    made = canvas.image.copy()
    made.paste(canvas.draw.choice(["#e6332a", "white"]), (0, 0), layer.point(lambda v: v * 0.6))
    return canvas.covered(made, "laid_over", "watermark")


def watermark(canvas: Canvas) -> Canvas:
    """Write half transparent words across the whole picture, rising from left to right."""
    return _across(canvas, 120, 7, 3)


def watermark_tiled(opacity: float) -> Step:
    """Make a step that tiles it with a mark and a line beneath, as stock agencies do."""
    return lambda c: _across(c, round(255 * opacity), 7, 5)


def _across(canvas: Canvas, level: int, size: int, apart: int) -> Canvas:
    image, draw = canvas.image, canvas.draw
    side = round((image.width**2 + image.height**2) ** 0.5)
    words = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(words)
    font = ImageFont.load_default(max(8.0, min(image.size) / size))
    line = phrase(draw, 2)
    step = max(10, min(image.size) // apart)
    for row, top in enumerate(range(0, side, step)):
        start = -(row % 2) * step
        while start < side:
            pen.text((start, top), line, fill=level, font=font)
            start += round(pen.textlength(line, font=font)) + step
    turned = words.rotate(30, Image.Resampling.BICUBIC)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    mask = turned.crop((left, top, left + image.width, top + image.height))
    made = image.copy()
    made.paste("white", (0, 0), mask)
    return canvas.covered(made, "laid_over", "watermark")


def stock_grid(canvas: Canvas) -> Canvas:
    """Draw a grid and a cross over all of it, as in the preview of a stock agency."""
    layer = Image.new("L", canvas.image.size, 0)
    pen = ImageDraw.Draw(layer)
    wide = max(1, min(canvas.image.size) // 160)
    step = max(4, min(canvas.image.size) // 6)
    for x in range(step, canvas.width, step):
        pen.line((x, 0, x, canvas.height), fill=140, width=wide)
    for y in range(step, canvas.height, step):
        pen.line((0, y, canvas.width, y), fill=140, width=wide)
    pen.line((0, 0, canvas.width, canvas.height), fill=200, width=2 * wide)
    pen.line((canvas.width, 0, 0, canvas.height), fill=200, width=2 * wide)
    write(
        layer, "preview", (0, canvas.height * 2 // 5, canvas.width, canvas.height * 3 // 5), "white"
    )
    made = canvas.image.copy()
    made.paste("white", (0, 0), layer)
    return canvas.covered(made, "laid_over", "watermark")


def logo(canvas: Canvas) -> Canvas:
    """Set a small badge with a word into a lower corner."""
    made = canvas.image.copy()
    wide, high = max(4, canvas.width // 6), max(3, canvas.height // 12)
    left = canvas.draw.choice([wide // 5, canvas.width - wide - wide // 5])
    top = canvas.height - high - wide // 5
    box = (left, top, left + wide, top + high)
    ImageDraw.Draw(made).rounded_rectangle(
        box,
        high // 3,
        fill=canvas.draw.choice(("#e6332a", "#f7b500", "#1fa34a", "#1273de", "#8e44ad")),
    )
    write(made, canvas.draw.choice(["tvnews", "BUYIT", "@me"]), box, "white")
    return canvas.covered(made, "laid_over")
