"""Things that several families draw: words, numbers, portraits, grounds and goods."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

import functools
import math
from random import Random

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_SYLLABLES = "ka to mi ren sol va du nel bri os ta lin gor pe sha un we zi cor fe"
_WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have "
    "from or had an they which one you were all her she there would their we him been has when "
    "who will no more if out so up what its about than into them can only other time new some "
    "could these two may first then do any like my now over such our man me even most made "
    "after also did many off before must well back through years much where your way down "
    "should because long each just state people those mister how too little good world make "
    "very year still see own work men day get here old life both between under last never place "
    "same another think house while high right"
)
INK = "#22242a"
_font = functools.cache(ImageFont.load_default)
PALETTE = (
    "#c0282d", "#1f5fb4", "#2b8a3e", "#e8a317", "#6a3fa0", "#14868c",
    "#d9568f", "#5b3a1e", "#20242b", "#8fb339", "#e0601f", "#7f8c99",
)  # fmt: skip
"""Twelve colours that are distinct at a glance."""


def drawn(kind: str, seed: int) -> Random:
    """Return the source of chance of one instance."""
    return Random(f"{kind} {seed}")  # noqa: S311 a picture, not a secret


def sheet(size: tuple[int, int], ground: str = "white") -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty RGB picture of a size, and the pen that draws on it."""
    made = Image.new("RGB", size, ground)
    return made, ImageDraw.Draw(made)


def say(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    words: str,
    size: float,
    fill: str = INK,
    *,
    anchor: str = "la",
) -> None:
    """Write a line, by its upper left corner unless an anchor says otherwise."""
    pen.text(at, words, fill=fill, font=_font(size), anchor=anchor)


def name(draw: Random, syllables: int) -> str:
    """Draw a capitalised name."""
    return "".join(draw.choice(_SYLLABLES.split()) for _ in range(syllables)).capitalize()


def number(draw: Random, digits: int) -> str:
    """Draw a row of digits."""
    return "".join(draw.choice("0123456789") for _ in range(digits))


def date(draw: Random) -> str:
    """Draw a date of day, month and year."""
    return f"{draw.randint(1, 28):02}.{draw.randint(1, 12):02}.{draw.randint(1950, 2030)}"


def money(draw: Random, most: int) -> str:
    """Draw an amount of up to so many hundredths."""
    cents = draw.randint(most // 50, most)
    return f"{cents // 100:,}.{cents % 100:02}"


def sentence(draw: Random, count: int) -> str:
    """Draw a sentence of so many ordinary words."""
    return " ".join(draw.choices(_WORDS.split(), k=count)).capitalize() + "."


def paragraph(
    pen: ImageDraw.ImageDraw,
    draw: Random,
    box: tuple[int, int, int, int],
    size: float,
    fill: str = INK,
) -> None:
    """Fill a box with lines of words, broken at its right edge."""
    left, top, right, bottom = box
    font = _font(size)
    y, line = float(top), ""
    while y + size <= bottom:
        word = draw.choice(_WORDS.split())
        if pen.textlength(f"{line} {word}", font=font) > right - left:
            pen.text((left, y), line, fill=fill, font=font)
            y, line = y + 1.4 * size, ""
        line = f"{line} {word}".strip()


def portrait(draw: Random, width: int, height: int) -> Image.Image:
    """Draw the photo of a person from the front: RGB."""
    made = Image.new("RGB", (2 * width, 2 * height), draw.choice(["#c9d3da", "#e3e0d8", "#b8c4b9"]))
    pen = ImageDraw.Draw(made)
    x, y = 2 * width, 2 * height
    skin = draw.choice(["#f0c8a4", "#d9a57c", "#a8754f", "#7a4f32", "#f5d7bf"])
    hair = draw.choice(["#2a1d14", "#5b3b1f", "#8a5a2b", "#c9a25b", "#9a9a9a", "#141414"])
    wide, high = draw.uniform(0.2, 0.27), draw.uniform(0.24, 0.3)
    middle = draw.uniform(0.47, 0.53)
    pen.ellipse((0.1 * x, 0.72 * y, 0.9 * x, 1.5 * y), fill=draw.choice(PALETTE))
    pen.rectangle(((middle - 0.09) * x, 0.55 * y, (middle + 0.09) * x, 0.78 * y), fill=skin)
    top = 0.42 - high - draw.uniform(0.02, 0.06)
    long = draw.uniform(0.45, 0.85)
    pen.ellipse(
        ((middle - wide - 0.05) * x, top * y, (middle + wide + 0.05) * x, long * y), fill=hair
    )
    face = ((middle - wide) * x, (0.44 - high) * y, (middle + wide) * x, (0.42 + high) * y)
    pen.ellipse(face, fill=skin)
    eyes = draw.uniform(0.08, 0.12)
    for side in (-1, 1):
        at = (middle + side * eyes) * x
        pen.ellipse((at - 0.03 * x, 0.38 * y, at + 0.03 * x, 0.41 * y), fill="white")
        pen.ellipse((at - 0.014 * x, 0.38 * y, at + 0.014 * x, 0.41 * y), fill=hair)
        pen.line((at - 0.05 * x, 0.35 * y, at + 0.05 * x, 0.345 * y), fill=hair, width=x // 60)
    pen.line((middle * x, 0.4 * y, (middle - 0.02) * x, 0.5 * y), fill="#8d6048", width=x // 80)
    smile = draw.uniform(0.05, 0.1)
    mouth = ((middle - smile) * x, 0.5 * y, (middle + smile) * x, 0.58 * y)
    pen.arc(mouth, 20, 160, fill="#8c3b3b", width=x // 50)
    if draw.random() < 0.3:
        for side in (-1, 1):
            at = (middle + side * eyes) * x
            pen.ellipse(
                (at - 0.07 * x, 0.36 * y, at + 0.07 * x, 0.43 * y), outline=INK, width=x // 70
            )
    return made.resize((width, height), Image.Resampling.LANCZOS)


def paper(image: Image.Image, draw: Random, levels: float = 3.0) -> Image.Image:
    """Add the unevenness and grain of a camera or scanner."""
    rng = np.random.default_rng(draw.getrandbits(32))
    height, width = image.height, image.width
    waves = rng.standard_normal((3, 3)).astype(np.float32) * levels
    light = cv2.resize(waves, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.standard_normal((height, width)).astype(np.float32) * levels * 0.6
    made = np.asarray(image, np.float32) + (light + grain)[:, :, None]
    return Image.fromarray(np.clip(made, 0, 255).astype(np.uint8))


def ramp(size: tuple[int, int], top: str, low: str) -> Image.Image:
    """Make a ground whose colour runs from the top to the bottom."""
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), _colour(top))
    column.putpixel((0, 1), _colour(low))
    return column.resize(size, Image.Resampling.BILINEAR)


def _colour(code: str) -> tuple[int, int, int]:
    return (int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16))


def shaded(code: str, factor: float) -> str:
    """Return a colour whose levels are multiplied: darker below 1."""
    return "#" + "".join(f"{min(255, round(level * factor)):02x}" for level in _colour(code))


def goods(draw: Random, colour: str, side: int) -> Image.Image:
    """Draw a vase, mug, bottle, lamp, shoe or bag in one colour, lit from the left: RGBA.

    The shape comes from `draw` alone, so that one state of it is one product in any colour.
    """
    big = 2 * side
    mask = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(mask)
    rows = [draw.uniform(0.12, 0.42) for _ in range(5)]
    top, low = draw.uniform(0.08, 0.2), draw.uniform(0.86, 0.94)
    outline = np.interp(np.linspace(0, 4, 60), range(5), rows)
    outline = np.convolve(np.pad(outline, 4, mode="edge"), np.ones(9) / 9, "valid")
    heights = np.linspace(top, low, 60)
    sides = [(0.5 - reach, y) for reach, y in zip(outline, heights, strict=True)]
    mirrored = [(1 - x, y) for x, y in reversed(sides)]
    pen.polygon([(x * big, y * big) for x, y in sides + mirrored], fill=255)
    if draw.random() < 0.6:
        y, r = draw.uniform(0.35, 0.6), draw.uniform(0.1, 0.18)
        edge = 0.5 + float(np.interp(y, heights, outline))
        box = ((edge - r) * big, (y - r) * big, (edge + r) * big, (y + r) * big)
        pen.arc(box, -100, 100, fill=255, width=round(0.045 * big))
    bands = [(draw.uniform(top, low), draw.uniform(0.01, 0.05)) for _ in range(draw.randint(0, 3))]
    across = np.linspace(0, 1, big, dtype=np.float32)[None, :, None]
    light = 0.62 + 0.75 * np.exp(-(((across - 0.38) / 0.16) ** 2)) - 0.25 * (across > 0.7)
    levels = np.array(_colour(colour), np.float32) * light + np.zeros((big, big, 3), np.float32)
    for y, high in bands:
        levels[round(y * big) : round((y + high) * big)] *= 0.72
    made = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    made.putalpha(mask.filter(ImageFilter.GaussianBlur(1)))
    return made.resize((side, side), Image.Resampling.LANCZOS)


def studio(product: Image.Image, width: int, height: int) -> Image.Image:
    """Stand a product (RGBA) in the one studio: a wall, a table, a plant, and its shadow."""
    made = ramp((width, height), "#e9e5df", "#cfc8bf")
    pen = ImageDraw.Draw(made)
    table = round(0.74 * height)
    pen.rectangle((0, table, width, height), fill="#b08d66")
    for row in range(table, height, 7):
        pen.line((0, row, width, row + 3), fill="#a57f57")
    fixed = drawn("studio", 0)
    for _ in range(26):  # a plant at the left
        x, y = 0.1 * width, 0.72 * height
        turn, reach = fixed.uniform(-2.6, -0.5), fixed.uniform(0.1, 0.34) * height
        tip = (x + reach * math.cos(turn), y + reach * math.sin(turn))
        pen.line((x, y, *tip), fill=fixed.choice(["#2f6b3a", "#3f8a4d", "#275a31"]), width=5)
        pen.ellipse((tip[0] - 9, tip[1] - 5, tip[0] + 9, tip[1] + 5), fill="#3c8148")
    pot = [(0.05 * width, 0.7 * height), (0.15 * width, 0.7 * height)]
    pen.polygon(
        [*pot, (0.135 * width, 0.82 * height), (0.065 * width, 0.82 * height)], fill="#9c4f36"
    )
    pen.rectangle((0.76 * width, 0.1 * height, 0.95 * width, 0.4 * height), fill="#6f7f86")
    pen.rectangle((0.775 * width, 0.125 * height, 0.935 * width, 0.375 * height), fill="#dfe3e0")
    pen.ellipse((0.82 * width, 0.19 * height, 0.9 * width, 0.31 * height), fill="#d19a3d")
    shadow = Image.new("L", made.size, 0)
    left, top = (width - product.width) // 2, round(0.84 * height) - round(0.92 * product.height)
    middle = 0.84 * height
    box = (left + 0.1 * product.width, middle - 14, left + product.width, middle + 20)
    ImageDraw.Draw(shadow).ellipse(box, fill=120)
    made.paste("#3a2d20", (0, 0), shadow.filter(ImageFilter.GaussianBlur(9)))
    made.paste(product, (left, top), product)
    return made
