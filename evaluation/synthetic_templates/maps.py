"""Maps of one place: another day's weather, or a pin somewhere else."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from evaluation.synthetic_templates.drawing import drawn, name, say, sheet


def weather_map(seed: int) -> Image.Image:
    """Draw the weather over one country: other temperatures and signs."""
    fixed, draw = drawn("weather", -1), drawn("weather", seed)
    made = _country(fixed)
    pen = ImageDraw.Draw(made)
    pen.rectangle((0, 0, 760, 54), fill="#173f6b")
    say(
        pen,
        (20, 10),
        "Weather for " + draw.choice(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]),
        28,
        "white",
    )
    for _ in range(9):
        x, y = fixed.randint(120, 620), fixed.randint(110, 520)
        sign = draw.randrange(3)
        if sign == 0:
            pen.ellipse(
                (x - 18, y - 18, x + 18, y + 18), fill="#ffcf33", outline="#e09b00", width=3
            )
        else:
            for shift in (-16, 0, 16):
                pen.ellipse(
                    (x + shift - 16, y - 14, x + shift + 16, y + 14),
                    fill="#eef2f6",
                    outline="#9aa7b4",
                )
            for shift in (-12, 0, 12) if sign == 2 else ():
                pen.line((x + shift, y + 18, x + shift - 6, y + 32), fill="#2f6fd0", width=3)
        say(pen, (x + 30, y - 14), f"{draw.randint(-5, 34)}", 28, "#9c1c1c")
    return made


def map_with_pin(seed: int) -> Image.Image:
    """Draw one map of a town with its pin at another place."""
    fixed, draw = drawn("map", -1), drawn("map", seed)
    made, pen = sheet((760, 560), "#eae6dd")
    for _ in range(7):
        x, y = fixed.randint(0, 700), fixed.randint(0, 500)
        pen.rectangle(
            (x, y, x + fixed.randint(60, 160), y + fixed.randint(50, 120)), fill="#c9dfb3"
        )
    pen.line(
        [(0, 420), (200, 380), (420, 450), (760, 380)], fill="#a9cbe6", width=36, joint="curve"
    )
    for _ in range(26):
        start = (fixed.randint(-50, 800), fixed.randint(-50, 600))
        turn = fixed.choice([(1, 0.1), (0.1, 1), (1, 0.6), (-0.6, 1)])
        end = (start[0] + 500 * turn[0], start[1] + 500 * turn[1])
        wide = fixed.choice([5, 8, 12])
        pen.line((*start, *end), fill="#c9c3b6", width=wide + 3)
        pen.line((*start, *end), fill="white", width=wide)
    for _ in range(12):
        say(
            pen,
            (fixed.randint(10, 660), fixed.randint(10, 530)),
            f"{name(fixed, 3)} St",
            14,
            "#6b675e",
        )
    x, y = draw.randint(60, 700), draw.randint(80, 520)
    pen.polygon([(x - 17, y - 36), (x + 17, y - 36), (x, y)], fill="#d93025")
    pen.ellipse((x - 20, y - 62, x + 20, y - 22), fill="#d93025")
    pen.ellipse((x - 8, y - 50, x + 8, y - 34), fill="#7a1109")
    return made


def _country(fixed: Random) -> Image.Image:
    made, pen = sheet((760, 600), "#9ec5e3")
    points = [(380 + r * c, 330 + 0.8 * r * s) for c, s, r in _around(fixed)]
    pen.polygon(points, fill="#b9d49a", outline="#6f8f55", width=3)
    for _ in range(5):
        start = (fixed.randint(150, 600), fixed.randint(120, 520))
        bends = [(start[0] + fixed.randint(-120, 120), start[1] + 40 * n) for n in range(5)]
        pen.line(bends, fill="#87b4d6", width=4, joint="curve")
    return made


def _around(fixed: Random) -> list[tuple[float, float, float]]:
    """Return cosine, sine and radius of the points of a coast."""
    turns = [2 * math.pi * step / 60 for step in range(60)]
    return [(math.cos(turn), math.sin(turn), fixed.uniform(240, 310)) for turn in turns]
