"""Made line drawings: floor plans and sketches, and redrawings of them from memory.

They are drawn from a seed alone. A redrawing has the same rooms or strokes, with each end moved,
each line bent and of another width, as a person draws to find a drawing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

SIDE = 640
Point = tuple[float, float]
Line = Sequence[Point]


def plan(seed: int) -> list[Line]:
    """Return a floor plan: rooms cut from a rectangle, doors as arcs, some furniture."""
    draw = random.Random(f"plan {seed}")
    left, top = draw.uniform(40, 120), draw.uniform(40, 120)
    right, bottom = SIDE - draw.uniform(40, 120), SIDE - draw.uniform(40, 120)
    lines: list[Line] = []
    rooms = [(left, top, right, bottom)]
    while len(rooms) < draw.choice((4, 5, 6)):
        rooms.sort(key=lambda room: (room[2] - room[0]) * (room[3] - room[1]))
        a, b, c, d = rooms.pop()
        share = draw.uniform(0.3, 0.7)
        if c - a > d - b:
            cut = a + share * (c - a)
            rooms += [(a, b, cut, d), (cut, b, c, d)]
        else:
            cut = b + share * (d - b)
            rooms += [(a, b, c, cut), (a, cut, c, d)]
    for a, b, c, d in rooms:
        lines += [[(a, b), (c, b)], [(c, b), (c, d)], [(c, d), (a, d)], [(a, d), (a, b)]]
        reach = min(c - a, d - b)
        corner, size = draw.choice(((a, b), (a, d), (c, b), (c, d))), 0.35 * reach
        start = draw.choice((0.0, 0.5, 1.0, 1.5)) * math.pi
        lines.append(_arc(corner, size, start, start + math.pi / 2))
        for _ in range(draw.randrange(3)):
            x, y = draw.uniform(a, c - 0.4 * reach), draw.uniform(b, d - 0.4 * reach)
            w, h = draw.uniform(0.12, 0.35) * reach, draw.uniform(0.12, 0.35) * reach
            lines.append([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)])
    return lines


def sketch(seed: int) -> list[Line]:
    """Return a sketch: a few closed outlines and hatching."""
    draw = random.Random(f"sketch {seed}")
    lines: list[Line] = []
    for _ in range(draw.randrange(3, 7)):
        x, y = draw.uniform(120, SIDE - 120), draw.uniform(120, SIDE - 120)
        reach, corners = draw.uniform(40, 170), draw.choice((3, 4, 5, 6, 24))
        turn, flat = draw.uniform(0, 2 * math.pi), draw.uniform(0.4, 1)
        outline = [
            (
                x + reach * math.cos(turn + 2 * math.pi * n / corners),
                y + flat * reach * math.sin(turn + 2 * math.pi * n / corners),
            )
            for n in range(corners + 1)
        ]
        lines.append(outline)
        if draw.random() < 0.5:
            slope = draw.uniform(-1, 1)
            for n in range(draw.randrange(4, 12)):
                shift = -reach / 2 + n * reach / 10
                lines.append(
                    [(x + shift, y - reach / 3), (x + shift + slope * 40, y + flat * reach / 3)]
                )
    return lines


def drawn(lines: Sequence[Line], *, width: int = 3) -> Image.Image:
    """Draw lines in ink on white, with smooth edges."""
    scale = 2
    canvas = Image.new("L", (SIDE * scale, SIDE * scale), 255)
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        pen.line([(x * scale, y * scale) for x, y in line], 0, width * scale, joint="curve")
    return canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS).convert("RGB")


def redrawn(lines: Sequence[Line], seed: int) -> Image.Image:
    """Redraw lines quickly: ends off by some 2 % of the side, one line in twelve left out."""
    draw = random.Random(f"redrawn {seed}")
    turn, grow = draw.uniform(-0.05, 0.05), draw.uniform(0.92, 1.08)
    shaky = [
        _shaken([_moved(point, turn, grow) for point in line], draw)
        for line in lines
        if draw.random() > 1 / 12
    ]
    return drawn(shaky, width=draw.choice((2, 4, 5)))


KINDS: dict[str, Callable[[int], list[Line]]] = {"floor plan": plan, "sketch": sketch}


def _arc(corner: Point, size: float, start: float, end: float) -> Line:
    steps = [start + (end - start) * n / 12 for n in range(13)]
    return [(corner[0] + size * math.cos(a), corner[1] + size * math.sin(a)) for a in steps]


def _moved(point: Point, turn: float, grow: float) -> Point:
    x, y = point[0] - SIDE / 2, point[1] - SIDE / 2
    cos, sin = grow * math.cos(turn), grow * math.sin(turn)
    return SIDE / 2 + cos * x - sin * y, SIDE / 2 + sin * x + cos * y


def _shaken(line: Line, draw: random.Random) -> Line:
    ends = [(x + draw.gauss(0, 8), y + draw.gauss(0, 8)) for x, y in line]
    bent: list[Point] = []
    for (ax, ay), (bx, by) in pairwise(ends):
        for n in range(6):
            t = n / 6
            bent.append(
                (ax + t * (bx - ax) + draw.gauss(0, 1.2), ay + t * (by - ay) + draw.gauss(0, 1.2))
            )
    return [*bent, ends[-1]]
