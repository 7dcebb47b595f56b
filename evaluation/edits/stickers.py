"""Edits that lay things over parts of the picture: stickers, faces, scribbles and bars."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from evaluation.edits.canvas import Canvas, Step
from evaluation.edits.lettering import phrase, write

COLOURS = ("#e6332a", "#f7b500", "#1fa34a", "#1273de", "#8e44ad", "#ff6fa8", "#111111", "#ffffff")


def _sticker(draw: Random, wide: int, high: int, *, face: bool) -> Image.Image:
    """Draw a face, or else a badge, a star or a face, with edges of its own: RGBA."""
    made = Image.new("RGBA", (4 * wide, 4 * high))
    pen = ImageDraw.Draw(made)
    fill, edge = draw.sample(COLOURS, 2)
    x, y = 4 * wide, 4 * high
    kind = 2 if face else draw.randrange(3)
    if kind == 0:
        pen.rounded_rectangle(
            (0, 0, x - 1, y - 1), min(x, y) // 6, fill=fill, outline=edge, width=x // 24
        )
        write(made, phrase(draw, 2).upper(), (0, 0, x, y), edge)
    elif kind == 1:
        rays = [0.5 if n % 2 == 0 else 0.28 for n in range(16)]
        turn = draw.uniform(0, 6)
        points = [
            (
                x * (0.5 + r * math.cos(turn + n * math.pi / 8)),
                y * (0.5 + r * math.sin(turn + n * math.pi / 8)),
            )
            for n, r in enumerate(rays)
        ]
        pen.polygon(points, fill=fill, outline=edge, width=x // 30)
        write(
            made,
            draw.choice(["WOW", "-50%", "NEW"]),
            (x // 4, y // 3, 3 * x // 4, 2 * y // 3),
            edge,
        )
    else:
        _face(pen, (0, 0, x - 1, y - 1), draw)
    return made.resize((wide, high), Image.Resampling.LANCZOS)


def _face(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], draw: Random) -> None:
    """Draw a laughing, crying or surprised face into a box."""
    left, top, right, bottom = box
    x, y = right - left, bottom - top

    def at(a: float, b: float, c: float, d: float) -> tuple[float, float, float, float]:
        return (left + a * x, top + b * y, left + c * x, top + d * y)

    pen.ellipse(box, fill="#ffd028", outline="#c98a00", width=max(1, x // 40))
    mood = draw.randrange(3)
    for eye in (0.25, 0.6):
        pen.ellipse(at(eye, 0.28, eye + 0.15, 0.46), fill="#4a2b05")
    if mood == 0:
        pen.chord(at(0.2, 0.3, 0.8, 0.86), 0, 180, fill="#7a1f1f")
        pen.rectangle(at(0.24, 0.58, 0.76, 0.64), fill="white")
    elif mood == 1:
        pen.arc(at(0.28, 0.62, 0.72, 1.0), 200, 340, fill="#4a2b05", width=max(1, x // 18))
        pen.ellipse(at(0.12, 0.46, 0.3, 0.82), fill="#39a7e8")
    else:
        pen.ellipse(at(0.38, 0.58, 0.62, 0.86), fill="#4a2b05")


def stickers(count: int, share: float, *, faces: bool = False) -> Step:
    """Make a step that lays stickers over it, each in a box of a share of the area."""

    def run(canvas: Canvas) -> Canvas:
        made = canvas.image.copy()
        wide = max(2, round(canvas.width * share**0.5))
        high = wide if faces else max(2, round(canvas.height * share**0.5))
        high = min(high, canvas.height)
        for place in canvas.draw.sample(range(9), count):
            drawn = _sticker(canvas.draw, wide, high, face=faces)
            drawn = drawn.rotate(canvas.draw.uniform(-20, 20), Image.Resampling.BICUBIC)
            left = (canvas.width - wide) * (place % 3) // 2
            top = (canvas.height - high) * (place // 3) // 2
            made.paste(drawn, (left, top), drawn)
        return canvas.covered(made, "laid_over")

    return run


def scribbles(canvas: Canvas) -> Canvas:
    """Scrawl over all of it with a finger in a few colours."""
    made = canvas.image.copy()
    pen = ImageDraw.Draw(made)
    wide = max(2, max(canvas.image.size) // 70)
    for _ in range(9):
        x, y = canvas.draw.uniform(0, canvas.width), canvas.draw.uniform(0, canvas.height)
        heading = canvas.draw.uniform(0, 2 * math.pi)
        points = [(x, y)]
        for _ in range(60):
            heading += canvas.draw.uniform(-0.7, 0.7)
            x = min(max(x + 0.035 * canvas.width * math.cos(heading), 0), canvas.width)
            y = min(max(y + 0.035 * canvas.width * math.sin(heading), 0), canvas.height)
            points.append((x, y))
        pen.line(points, fill=canvas.draw.choice(COLOURS), width=wide, joint="curve")
    return canvas.covered(made, "laid_over")


def arrow_and_circle(canvas: Canvas) -> Canvas:
    """Point at something with a red arrow and circle it."""
    made = canvas.image.copy()
    pen = ImageDraw.Draw(made)
    side = min(canvas.image.size)
    wide = max(2, side // 40)
    x, y = (
        canvas.draw.uniform(0.4, 0.75) * canvas.width,
        canvas.draw.uniform(0.3, 0.7) * canvas.height,
    )
    r = 0.16 * side
    pen.ellipse((x - r, y - r, x + r, y + r), outline="#ff1a1a", width=wide)
    tip = (x - 1.1 * r, y + 0.6 * r)
    tail = (tip[0] - 1.4 * r, tip[1] + 0.9 * r)
    pen.line((*tail, *tip), fill="#ff1a1a", width=wide)
    angle = math.atan2(tip[1] - tail[1], tip[0] - tail[0])
    wings = [
        (tip[0] - 0.6 * r * math.cos(angle + turn), tip[1] - 0.6 * r * math.sin(angle + turn))
        for turn in (-0.5, 0.5)
    ]
    pen.polygon([tip, *wings], fill="#ff1a1a")
    return canvas.covered(made, "laid_over")


def censor_bars(canvas: Canvas) -> Canvas:
    """Lay three black bars over it."""
    made = canvas.image.copy()
    pen = ImageDraw.Draw(made)
    for row in range(3):
        wide, high = 0.45 * canvas.width, 0.09 * canvas.height
        left = canvas.draw.uniform(0, canvas.width - wide)
        top = (0.12 + 0.3 * row + canvas.draw.uniform(0, 0.12)) * canvas.height
        pen.rectangle((left, top, left + wide, top + high), fill="black")
    return canvas.covered(made, "laid_over")
