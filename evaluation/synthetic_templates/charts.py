"""Charts and tables of one source: the same axes, other figures."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

import math
from random import Random

from PIL import Image

from evaluation.synthetic_templates.drawing import (
    INK,
    PALETTE,
    drawn,
    money,
    name,
    number,
    say,
    sheet,
)


def chart(seed: int) -> Image.Image:
    """Draw a bar chart: the same axes, other figures."""
    draw = drawn("chart", seed)
    made, pen = sheet((720, 480))
    say(pen, (250, 16), "Sales by month", 26)
    for line in range(6):
        pen.line((70, 70 + 66 * line, 700, 70 + 66 * line), fill="#d8d8d8", width=1)
        say(pen, (24, 60 + 66 * line), str(100 - 20 * line), 16)
    for month in range(12):
        left = 82 + 52 * month
        pen.rectangle((left, 400 - draw.randint(10, 320), left + 36, 400), fill="#3b78b5")
        say(pen, (left, 408), "JFMAMJJASOND"[month], 18)
    pen.line((70, 60, 70, 400, 700, 400), fill=INK, width=3)
    return made


def line_chart(seed: int) -> Image.Image:
    """Draw three lines over the same axes: other courses."""
    draw = drawn("lines", seed)
    made, pen = sheet((760, 460))
    say(pen, (30, 14), "Visitors a week", 24)
    for row in range(6):
        y = 70 + 62 * row
        pen.line((70, y, 730, y), fill="#e2e2e2")
        say(pen, (20, y - 10), f"{500 - 100 * row}", 15, "#777777")
    for place, label in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]):
        say(pen, (80 + 100 * place, 392), label, 15, "#777777")
    for colour, label, x in zip(
        PALETTE[:3], ("North", "South", "West"), (80, 180, 280), strict=True
    ):
        level = draw.uniform(0.2, 0.8)
        points = []
        for place in range(25):
            level = min(0.98, max(0.02, level + draw.uniform(-0.14, 0.14)))
            points.append((80 + 26 * place, 380 - 310 * level))
        pen.line(points, fill=colour, width=4, joint="curve")
        pen.rectangle((x, 426, x + 16, 442), fill=colour)
        say(pen, (x + 24, 424), label, 16)
    return made


def pie_chart(seed: int) -> Image.Image:
    """Draw the pie of one survey: other shares."""
    draw = drawn("pie", seed)
    made, pen = sheet((700, 460))
    say(pen, (30, 16), "How do you travel to work?", 26)
    shares = [draw.uniform(0.4, 3) for _ in range(5)]
    start = -90.0
    for place, label in enumerate(("Car", "Bus", "Train", "Bicycle", "On foot")):
        wide = 360 * shares[place] / sum(shares)
        pen.pieslice(
            (60, 80, 400, 420), start, start + wide, fill=PALETTE[place], outline="white", width=3
        )
        angle = math.radians(start + wide / 2)
        at = (230 + 105 * math.cos(angle), 250 + 105 * math.sin(angle))
        say(pen, at, f"{wide / 3.6:.0f} %", 18, "white", anchor="mm")
        pen.rectangle((460, 130 + 50 * place, 484, 154 + 50 * place), fill=PALETTE[place])
        say(pen, (500, 130 + 50 * place), label, 20)
        start += wide
    return made


def spreadsheet(seed: int) -> Image.Image:
    """Draw a window of a spreadsheet: the same columns, other cells."""
    draw = drawn("sheet", seed)
    made, pen = sheet((900, 620))
    pen.rectangle((0, 0, 900, 64), fill="#1d7044")
    say(pen, (20, 8), "Budget.xlsx", 20, "white")
    say(pen, (20, 36), "File   Home   Insert   Formulas   Data   Review   View", 16, "#d5eadd")
    pen.rectangle((0, 64, 900, 92), fill="#e6e6e6")
    for column in range(8):
        say(pen, (92 + 106 * column, 68), "ABCDEFGH"[column], 16, "#555555")
    for row in range(20):
        y = 92 + 26 * row
        pen.line((0, y, 900, y), fill="#d4d4d4")
        say(pen, (12, y + 4), str(row + 1), 14, "#555555")
        for column in range(8):
            value = name(draw, 3) if column < 2 else money(draw, 999_999)
            say(pen, (50 + 106 * column, y + 4), value, 15)
    for column in range(9):
        pen.line((44 + 106 * column, 64, 44 + 106 * column, 620), fill="#d4d4d4")
    return made


def table(seed: int) -> Image.Image:
    """Draw one table of 14 rows in which a single row is another."""
    fixed, draw = drawn("table", -1), drawn("table", seed)
    made, pen = sheet((760, 620))
    say(pen, (30, 14), "Results of the spring season", 24)
    pen.rectangle((30, 56, 730, 90), fill="#33475b")
    for x, label in ((40, "Club"), (300, "Played"), (410, "Won"), (510, "Goals"), (630, "Points")):
        say(pen, (x, 62), label, 18, "white")
    changed = seed % 14
    for row in range(14):
        line = _row(fixed)
        if row == changed:
            line = (line[0], *_row(draw)[1:])
        y = 90 + 36 * row
        pen.rectangle((30, y, 730, y + 36), fill="#eef2f6" if row % 2 else "white")
        for x, value in zip((40, 300, 410, 510, 630), line, strict=True):
            say(pen, (x, y + 7), value, 19)
    pen.rectangle((30, 56, 730, 594), outline=INK, width=2)
    return made


def _row(draw: Random) -> tuple[str, str, str, str, str]:
    return (
        f"{name(draw, 3)} {name(draw, 2)}",
        number(draw, 2),
        number(draw, 2),
        f"{number(draw, 2)}:{number(draw, 2)}",
        number(draw, 3),
    )
