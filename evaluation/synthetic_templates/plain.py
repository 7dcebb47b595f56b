"""Plain drawings: icons, flat grounds, gradients, stripes, checks and dots."""

from __future__ import annotations

import colorsys

from PIL import Image, ImageDraw

from evaluation.synthetic_templates.drawing import PALETTE, drawn, ramp, sheet

_SIDE = 400


def _hue(seed: int, shift: float = 0.0) -> str:
    """Return the colour of a seed; seeds in a row lie far apart, by the golden ratio."""
    place = seed + 1
    hue = (place * 0.618034 + shift) % 1
    light = 0.25 + 0.5 * ((place * 0.7548777 + shift) % 1)
    red, green, blue = colorsys.hls_to_rgb(
        hue, light, 0.45 + 0.5 * ((place * 0.569840 + shift) % 1)
    )
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def icon(seed: int) -> Image.Image:
    """Draw an icon of two or three simple shapes."""
    draw = drawn("icon", seed)
    made, pen = sheet((_SIDE, _SIDE))
    pen.rounded_rectangle((20, 20, 380, 380), draw.choice([20, 80, 180]), fill=_hue(seed))
    for _ in range(draw.randint(1, 3)):
        x, y, r = draw.randint(130, 270), draw.randint(130, 270), draw.randint(50, 110)
        sides = draw.choice([0, 3, 4, 5, 6])
        if sides:
            pen.regular_polygon(
                (x, y, r), sides, draw.randint(0, 89), fill=draw.choice(["white", *PALETTE])
            )
        else:
            pen.ellipse((x - r, y - r, x + r, y + r), outline="white", width=draw.randint(10, 30))
    return made


def flat(seed: int) -> Image.Image:
    """Fill the picture with one colour."""
    return Image.new("RGB", (_SIDE, _SIDE), _hue(seed))


def gradient(seed: int) -> Image.Image:
    """Run from one colour to another in a direction."""
    made = ramp((2 * _SIDE, 2 * _SIDE), _hue(seed), _hue(seed, 0.37))
    turned = made.rotate(drawn("gradient", seed).uniform(0, 360), Image.Resampling.BICUBIC)
    return turned.crop((_SIDE // 2, _SIDE // 2, _SIDE * 3 // 2, _SIDE * 3 // 2))


def stripes(seed: int) -> Image.Image:
    """Fill with stripes of a width and slant."""
    draw = drawn("stripes", seed)
    made = Image.new("RGB", (2 * _SIDE, 2 * _SIDE), _hue(seed))
    pen = ImageDraw.Draw(made)
    wide = draw.randint(8, 60)
    for left in range(0, 2 * _SIDE, 2 * wide):
        pen.rectangle((left, 0, left + wide - 1, 2 * _SIDE), fill=_hue(seed, 0.41))
    turned = made.rotate(draw.choice([0, 30, 45, 60, 90, 135]), Image.Resampling.BICUBIC)
    return turned.crop((_SIDE // 2, _SIDE // 2, _SIDE * 3 // 2, _SIDE * 3 // 2))


def checks(seed: int) -> Image.Image:
    """Fill with a chequered pattern of a size."""
    draw = drawn("checks", seed)
    made = Image.new("RGB", (_SIDE, _SIDE), _hue(seed))
    pen = ImageDraw.Draw(made)
    cell = draw.randint(10, 60)
    for row in range(_SIDE // cell + 1):
        for column in range(row % 2, _SIDE // cell + 1, 2):
            x, y = column * cell, row * cell
            pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=_hue(seed, 0.47))
    return made


def dots(seed: int) -> Image.Image:
    """Fill with dots of a size and distance."""
    draw = drawn("dots", seed)
    made = Image.new("RGB", (_SIDE, _SIDE), _hue(seed))
    pen = ImageDraw.Draw(made)
    step = draw.randint(20, 80)
    r = draw.uniform(0.2, 0.45) * step
    for row in range(_SIDE // step + 2):
        for column in range(_SIDE // step + 2):
            x, y = (column + 0.5 * (row % 2)) * step, row * step
            pen.ellipse((x - r, y - r, x + r, y + r), fill=_hue(seed, 0.53))
    return made
