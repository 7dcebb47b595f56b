"""Generated templates: pictures that share most blocks and differ in the details that matter.

Identity cards, forms, receipts, charts, chat windows, and one photo under many captions. All of one
kind are different things to the people in them: their verdicts are reported, not judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw, ImageFont

from evaluation import synthetic_photos
from evaluation.edits.lettering import captioned

_SYLLABLES = "ka to mi ren sol va du nel bri os ta lin gor pe sha un we zi cor fe"
_INK = "#22242a"


def card(seed: int) -> Image.Image:
    """Draw an identity card: one layout, another person."""
    draw = _drawn("card", seed)
    made = Image.new("RGB", (640, 400), "#dfe9ee")
    pen = ImageDraw.Draw(made)
    for wave in range(24):
        line = [(x, wave * 18 + 14 * math.sin(x / 40 + wave / 3)) for x in range(0, 641, 8)]
        pen.line(line, fill="#b9d2dc", width=2)
    pen.rectangle((0, 0, 640, 56), fill="#2f5d7c")
    _say(pen, (20, 14), "REPUBLIC OF MADE UP   IDENTITY CARD", 24, "white")
    made.paste(synthetic_photos.photo(draw.getrandbits(32), 150, 190), (24, 90))
    for row, label in enumerate(("Surname", "Given names", "Date of birth", "Number", "Expires")):
        _say(pen, (205, 84 + 54 * row), label, 14, "#5a6c76")
        said = (_name(draw, 3), _name(draw, 4), _date(draw), _number(draw, 9), _date(draw))[row]
        _say(pen, (205, 102 + 54 * row), said, 24)
    _say(pen, (20, 368), f"P<MUP{_name(draw, 6).upper()}<<{_number(draw, 12)}<<<<<<<", 20)
    return made


def form(seed: int) -> Image.Image:
    """Draw a form of twelve boxes, filled in differently each time."""
    draw = _drawn("form", seed)
    made = Image.new("RGB", (600, 780), "white")
    pen = ImageDraw.Draw(made)
    _say(pen, (30, 24), "Application for a parking permit", 26)
    _say(pen, (30, 62), "Please fill in all fields in capital letters.", 14, "#5b5b5b")
    for row, label in enumerate(_LABELS.split()):
        top = 100 + 54 * row
        _say(pen, (30, top), f"{row + 1}. {label}", 14)
        pen.rectangle((200, top - 6, 570, top + 30), outline=_INK, width=2)
        _say(pen, (210, top - 2), _name(draw, draw.randint(2, 5)).upper(), 22, "#1f3a93")
    return made


_LABELS = "Surname Name Street City Country Plate Maker Colour From Until Phone Signature"


def receipt(seed: int) -> Image.Image:
    """Draw a till receipt: one shop, other goods."""
    draw = _drawn("receipt", seed)
    made = Image.new("RGB", (360, 720), "#fbfaf5")
    pen = ImageDraw.Draw(made)
    _say(pen, (90, 20), "CORNER SHOP", 26)
    _say(pen, (86, 54), "12 Mill Lane  Tel 555 0100", 14)
    total = 0
    for row in range(draw.randint(9, 16)):
        price = draw.randint(49, 2999)
        total += price
        _say(pen, (24, 96 + 30 * row), _name(draw, 3), 18)
        _say(pen, (270, 96 + 30 * row), f"{price / 100:8.2f}", 18)
    _say(pen, (24, 610), f"TOTAL   {total / 100:.2f}", 28)
    _say(pen, (24, 656), f"{_date(draw)}  no {_number(draw, 6)}", 16)
    return made


def chart(seed: int) -> Image.Image:
    """Draw a bar chart: the same axes, other figures."""
    draw = _drawn("chart", seed)
    made = Image.new("RGB", (720, 480), "white")
    pen = ImageDraw.Draw(made)
    _say(pen, (250, 16), "Sales by month", 26)
    for line in range(6):
        pen.line((70, 70 + 66 * line, 700, 70 + 66 * line), fill="#d8d8d8", width=1)
        _say(pen, (24, 60 + 66 * line), str(100 - 20 * line), 16)
    for month in range(12):
        left = 82 + 52 * month
        pen.rectangle((left, 400 - draw.randint(10, 320), left + 36, 400), fill="#3b78b5")
        _say(pen, (left, 408), "JFMAMJJASOND"[month], 18)
    pen.line((70, 60, 70, 400, 700, 400), fill=_INK, width=3)
    return made


def chat(seed: int) -> Image.Image:
    """Draw a chat window on a telephone: the same frame, another conversation."""
    draw = _drawn("chat", seed)
    made = Image.new("RGB", (400, 760), "#ece5dd")
    pen = ImageDraw.Draw(made)
    pen.rectangle((0, 0, 400, 64), fill="#075e54")
    pen.ellipse((14, 10, 58, 54), fill="#c7d2d0")
    _say(pen, (72, 18), _name(draw, 3), 22, "white")
    top, last = 84, 640
    while top < last:
        mine = draw.random() < 0.5  # noqa: PLR2004 a coin
        lines = [_name(draw, draw.randint(4, 7)) for _ in range(draw.randint(1, 3))]
        left, height = (110 if mine else 14), 16 + 24 * len(lines)
        fill = "#dcf8c6" if mine else "white"
        pen.rounded_rectangle((left, top, left + 276, top + height), 10, fill=fill)
        for row, line in enumerate(lines):
            _say(pen, (left + 12, top + 7 + 24 * row), line, 17)
        top += height + 14
    pen.rounded_rectangle((10, 704, 390, 750), 22, fill="white")
    _say(pen, (30, 714), "Type a message", 18, "#9a9a9a")
    return made


def meme(seed: int) -> Image.Image:
    """Draw the same photo under another caption."""
    draw = _drawn("meme", seed)
    words = " ".join(_name(draw, 2) for _ in range(4))
    return captioned(synthetic_photos.photo(77, 600, 450), words)


TEMPLATES: dict[str, Callable[[int], Image.Image]] = {
    "identity cards": card,
    "forms": form,
    "receipts": receipt,
    "charts": chart,
    "chat windows": chat,
    "captions": meme,
}
"""Templates by name; each takes a seed and draws one of 360 to 720 pixels a side."""


def _drawn(kind: str, seed: int) -> Random:
    return Random(f"{kind} {seed}")  # noqa: S311 a picture, not a secret


def _say(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], words: str, size: float, fill: str = _INK
) -> None:
    pen.text(at, words, fill=fill, font=ImageFont.load_default(size))


def _name(draw: Random, syllables: int) -> str:
    return "".join(draw.choice(_SYLLABLES.split()) for _ in range(syllables)).capitalize()


def _number(draw: Random, digits: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(digits))


def _date(draw: Random) -> str:
    return f"{draw.randint(1, 28):02}.{draw.randint(1, 12):02}.{draw.randint(1950, 2030)}"
