"""Edits that set the picture into something larger: frames, screens, scenes and collages."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from evaluation.edits.canvas import Canvas, Step, levels_of, picture
from evaluation.edits.geometry import cropped_to, laid_into, long_side, quad, resized
from evaluation.edits.lettering import phrase, write
from evaluation.edits.light import TONES


def pasted(canvas: Canvas, scene: Image.Image, left: int, top: int) -> Canvas:
    """Paste the picture into a scene, its upper left corner at a pixel."""
    made = scene.copy()
    made.paste(canvas.image, (left, top))
    step = np.eye(3)
    step[:2, 2] = left, top
    return canvas.moved(made, step)


def border(canvas: Canvas) -> Canvas:
    """Add a border of 40 pixels, white or black."""
    ground = canvas.draw.choice(["white", "black"])
    return pasted(canvas, ImageOps.expand(canvas.image, 40, ground), 40, 40)


def story(canvas: Canvas) -> Canvas:
    """Set it on a 9:16 canvas over its own blurred enlargement."""
    height = round(canvas.width * 16 / 9)
    if canvas.height > height:
        canvas = resized(canvas, canvas.width * height / canvas.height, height)
    width = max(canvas.width, round(height * 9 / 16))
    blur = ImageFilter.GaussianBlur(max(width, height) / 40)
    ground = ImageOps.fit(canvas.image, (width, height)).filter(blur)
    return pasted(canvas, ground, (width - canvas.width) // 2, (height - canvas.height) // 2)


def screenshot(canvas: Canvas) -> Canvas:
    """Lay the picture off centre on a canvas 1.5 x 1.7 times its size, under a drawn bar."""
    image, draw = canvas.image, canvas.draw
    width, height = round(image.width * 1.5), round(image.height * 1.7)
    made = Image.new("RGB", (width, height), draw.choice(["#f4f4f6", "#ffffff", "#18191b"]))
    bar = max(1, height // 12)
    ImageDraw.Draw(made).rectangle((0, 0, width, bar), fill="#2b4a7d")
    write(made, phrase(draw, 3), (0, 0, width, bar), "white")
    across, down = width - image.width, max(0, height - image.height - bar)
    left = draw.choice([across // 8, across - across // 8]) + draw.randint(0, across // 16)
    top = bar + draw.choice([down // 4, down - down // 4]) + draw.randint(0, down // 16)
    laid = pasted(canvas, made, left, top)
    line = height - bar // 2
    lettered = laid.image.copy()
    write(lettered, phrase(draw, 6), (0, line - bar // 2, width, line + bar // 2), "#7b7f86")
    return laid.covered(lettered, "laid_over", minor=True)


def phone_screenshot(canvas: Canvas) -> Canvas:
    """Show it across a phone's screen, between the bars of an app."""
    width = canvas.width
    height = max(round(width * 19.5 / 9), canvas.height + round(0.45 * width))
    dark = canvas.draw.random() < 0.5
    ground, ink = ("#101114", "#e8e8e8") if dark else ("#ffffff", "#1b1c1e")
    made = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(made)
    line = max(2, round(width * 0.055))
    clock = f"{canvas.draw.randint(1, 12)}:{canvas.draw.randint(10, 59)}"
    write(made, clock, (0, 0, width // 4, line), ink)
    pen.rounded_rectangle((width - 2 * line, line // 4, width - line, line), line // 4, outline=ink)
    write(made, phrase(canvas.draw, 2), (width // 5, line, 4 * width // 5, 3 * line), ink)
    top = (height - canvas.height) // 2
    for n in range(3):
        y = top + canvas.height + line * (1 + 2 * n)
        words = phrase(canvas.draw, 5)
        if y + 2 * line < height - 3 * line:
            write(made, words, (0, y, width, y + 2 * line), "#8a8d93")
    for n in range(4):
        x = round(width * (n + 0.5) / 4)
        box = (x - line // 2, height - 2 * line, x + line // 2, height - line)
        pen.ellipse(box, outline=ink, width=max(1, line // 8))
    return pasted(canvas, made, 0, top)


def post(canvas: Canvas) -> Canvas:
    """Show it in a social post: a head, lines of text, the picture with round corners, buttons."""
    width = round(canvas.width * 1.12)
    line = max(3, round(width * 0.05))
    left, top = (width - canvas.width) // 2, 7 * line
    height = top + canvas.height + 4 * line
    made = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(made)
    pen.ellipse((left, line // 2, left + 2 * line, line // 2 + 2 * line), fill="#b7c3d0")
    write(
        made, phrase(canvas.draw, 2), (3 * line + left, line // 2, width // 2, 2 * line), "#101418"
    )
    for n in range(2):
        y = round((3.2 + 1.7 * n) * line)
        write(made, phrase(canvas.draw, 8), (left, y, width - left, y + 2 * line), "#101418")
    laid = pasted(canvas, made, left, top)
    mask = Image.new("L", laid.image.size, 255)
    ImageDraw.Draw(mask).rectangle((left, top, left + canvas.width, top + canvas.height), fill=0)
    box = (left, top, left + canvas.width - 1, top + canvas.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, line, fill=255)
    rounded = Image.composite(laid.image, Image.new("RGB", laid.image.size, "white"), mask)
    foot = ImageDraw.Draw(rounded)
    for n in range(4):
        x, y = left + round(canvas.width * n / 4), top + canvas.height + line
        foot.ellipse((x, y, x + line, y + line), outline="#5b6670", width=max(1, line // 8))
        write(
            rounded,
            str(canvas.draw.randint(2, 999)),
            (x + line, y, x + 3 * line, y + line),
            "#5b6670",
        )
    return laid.covered(rounded, "cut_away", minor=True)


def desktop(canvas: Canvas) -> Canvas:
    """Show it in a window on a desktop, on 20 % of the area."""
    side = max(canvas.width, canvas.height, 500)
    width, height = round(side * 1.6), round(side * 0.9)
    factor = math.sqrt(0.2 * width * height / (canvas.width * canvas.height))
    canvas = resized(canvas, canvas.width * factor, canvas.height * factor)
    if canvas.height > 0.8 * height:
        canvas = resized(canvas, canvas.width * 0.8 * height / canvas.height, 0.8 * height)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    ground = levels_of([30, 70, 110]) + rows * levels_of([60, 40, 20])
    made = picture(ground + np.zeros((height, width, 3), np.float32))
    pen = ImageDraw.Draw(made)
    line = max(3, height // 30)
    pen.rectangle((0, height - 2 * line, width, height), fill="#14181d")
    for n in range(8):
        x = line + 2 * line * n
        pen.rounded_rectangle(
            (x, height - 2 * line + 4, x + line, height - line), 3, fill="#5f7fa8"
        )
        pen.rounded_rectangle(
            (line, line + 3 * line * n, 2 * line, 2 * line + 3 * line * n), 3, fill="#d9b44a"
        )
    left = canvas.draw.randint(5 * line, max(5 * line, width - canvas.width - 2 * line))
    top = canvas.draw.randint(2 * line, max(2 * line, height - canvas.height - 3 * line))
    window = (left - 4, top - line, left + canvas.width + 4, top + canvas.height + 4)
    pen.rectangle(window, fill="#e9ebee")
    write(made, phrase(canvas.draw, 3), (left, top - line, left + canvas.width, top), "#30343a")
    return pasted(canvas, made, left, top)


def slide(canvas: Canvas) -> Canvas:
    """Show it on a slide under a title, beside a list."""
    width = round(canvas.width * 1.9)
    height = max(round(width * 9 / 16), round(canvas.height * 1.35))
    made = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(made)
    bar = height // 7
    pen.rectangle((0, 0, width, bar), fill=canvas.draw.choice(["#17456b", "#7a1f3d", "#2c5e2e"]))
    write(made, phrase(canvas.draw, 5).title(), (0, 0, width, bar), "white")
    right = width - round(0.03 * width) - canvas.width
    for n in range(4):
        top = bar + round((0.6 + 1.1 * n) * bar)
        pen.ellipse(
            (width // 40, top + bar // 3, width // 40 + bar // 8, top + bar // 2), fill="#333"
        )
        write(
            made, phrase(canvas.draw, 3), (width // 20, top, right, top + bar * 4 // 5), "#222222"
        )
    return pasted(canvas, made, right, bar + (height - bar - canvas.height) // 2)


def polaroid(canvas: Canvas) -> Canvas:
    """Lay it on wood in a white frame with a wide foot, turned by five degrees."""
    edge = round(max(canvas.image.size) * 0.06)
    size = (canvas.width + 2 * edge, canvas.height + 5 * edge)
    card = Image.new("RGB", size, "#f7f5ef")
    foot = (edge, canvas.height + edge, canvas.width + edge, size[1])
    write(card, phrase(canvas.draw, 3), foot, "#3b3b46")
    framed = pasted(canvas, card, edge, edge)
    scene = _wood(canvas, round(size[0] * 1.35), round(size[1] * 1.3))
    degrees = canvas.draw.choice([-5.0, 5.0])
    return _lying(framed, scene, degrees, 0.0)


def print_on_table(canvas: Canvas) -> Canvas:
    """Photograph a print on a table, seen at a slant in uneven light."""
    edge = max(1, round(max(canvas.image.size) * 0.02))
    card = Image.new("RGB", (canvas.width + 2 * edge, canvas.height + 2 * edge), "#fbfbf8")
    framed = pasted(canvas, card, edge, edge)
    scene = _wood(canvas, round(card.width * 1.45), round(card.height * 1.45))
    laid = _lying(framed, scene, canvas.draw.uniform(-9, 9), 0.08)
    return _photographed(laid, 0.35)


def _wood(canvas: Canvas, width: int, height: int) -> Image.Image:
    """Draw the grain of a wooden table."""
    rng = np.random.default_rng(canvas.draw.getrandbits(32))
    grain = rng.standard_normal((max(2, height // 3), 8)).astype(np.float32)
    streaks = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    waves = cv2.resize(rng.standard_normal((5, 5)).astype(np.float32), (width, height))
    tone = (streaks * 10 + waves * 12).reshape(height, width, 1)
    base = levels_of([142, 98, 60]) * np.float32(canvas.draw.uniform(0.7, 1.15))
    return picture(base + tone * levels_of([1.0, 0.8, 0.6]))


def _lying(canvas: Canvas, scene: Image.Image, degrees: float, slant: float) -> Canvas:
    """Lay it into the middle of a scene with a soft shadow; the far edge shrinks by `slant`."""
    w, h = float(canvas.width), float(canvas.height)
    pulls = [slant * canvas.draw.uniform(0.4, 1.0) for _ in range(2)]
    flat = [(pulls[0] * w, pulls[0] * h), (w - pulls[1] * w, 0.0), (w, h), (0.0, h)]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = []
    for x, y in flat:
        across, down = x - w / 2, y - h / 2
        corners.append(
            (scene.width / 2 + across * cosine + down * sine,
             scene.height / 2 - across * sine + down * cosine)
        )  # fmt: skip
    shadow = Image.new("L", scene.size, 0)
    shift = max(w, h) * 0.015
    ImageDraw.Draw(shadow).polygon([(x + shift, y + shift) for x, y in corners], fill=150)
    soft = shadow.filter(ImageFilter.GaussianBlur(max(w, h) * 0.015))
    ground = scene.copy()
    ground.paste("black", (0, 0), soft)
    return laid_into(canvas, ground, quad((w, h), corners))


def _photographed(canvas: Canvas, fall: float) -> Canvas:
    """Add a camera's softness, noise, and light that falls off to one side by up to `fall`."""
    rng = np.random.default_rng(canvas.draw.getrandbits(32))
    levels = cv2.GaussianBlur(canvas.levels, (0, 0), 0.7)
    ramp = np.linspace(1, 1 - fall, canvas.width, dtype=np.float32)[None, :, None]
    if canvas.draw.random() < 0.5:
        ramp = ramp[:, ::-1]
    levels = levels * ramp * levels_of([1.03, 1.0, 0.93])
    levels += rng.normal(0, 4, levels.shape).astype(np.float32)
    return canvas.toned(levels, also=(*TONES, "blurred", "sharpened"))


def _on_screen(canvas: Canvas) -> Canvas:
    """Show it on a dark display with the weave of its pixels and a reflection."""
    levels = canvas.levels
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    angle = math.radians(canvas.draw.uniform(2, 8))
    moire = np.sin((columns * math.cos(angle) + rows * math.sin(angle)) * 2.1)
    moire += np.sin((rows * math.cos(angle) - columns * math.sin(angle)) * 1.9)
    glow = np.exp(
        -((columns / canvas.width - 0.7) ** 2 + (rows / canvas.height - 0.25) ** 2) / 0.06
    )
    levels = levels * 0.88 + 10 + 4 * moire[:, :, None] + 26 * glow[:, :, None]
    return canvas.toned(levels, also=(*TONES, "laid_over"))


def screen_photo(*, slanted: bool) -> Step:
    """Make a step that photographs it on a monitor, straight from the front or at a slant."""

    def run(canvas: Canvas) -> Canvas:
        shown = _on_screen(canvas)
        edge = max(2, round(max(shown.image.size) * 0.03))
        size = (shown.width + 2 * edge, shown.height + 3 * edge)
        framed = pasted(shown, Image.new("RGB", size, "#0c0d0f"), edge, edge)
        room = canvas.another().resize(
            (round(size[0] * 1.35), round(size[1] * 1.35)), Image.Resampling.BICUBIC
        )
        dim = picture(
            np.asarray(room.filter(ImageFilter.GaussianBlur(max(size) / 60)), np.float32) * 0.5
        )
        tilt = canvas.draw.uniform(-4, 4) if slanted else canvas.draw.uniform(-1, 1)
        return _photographed(_lying(framed, dim, tilt, 0.12 if slanted else 0.015), 0.2)

    return run


# --- beside other pictures ----------------------------------------------------------------------


def collage(canvas: Canvas) -> Canvas:
    """Set another picture of the same size beside it, on either side."""
    other = canvas.another().resize(canvas.image.size, Image.Resampling.BICUBIC)
    left = 0 if canvas.draw.random() < 0.5 else canvas.width
    made = Image.new("RGB", (2 * canvas.width, canvas.height))
    made.paste(other, (canvas.width - left, 0))
    return pasted(canvas, made, left, 0)


def collage_of(side: int) -> Step:
    """Make a step that puts a square crop of it into one cell of `side` x `side` others."""

    def run(canvas: Canvas) -> Canvas:
        cell = max(2, round(1000 / side))
        square = resized(cropped_to(1, 1)(canvas), cell, cell)
        gap = max(1, cell // 40)
        full = side * cell + (side + 1) * gap
        made = Image.new("RGB", (full, full), "white")
        own = canvas.draw.randrange(side * side)
        number = 0
        for place in range(side * side):
            at = (gap + place % side * (cell + gap), gap + place // side * (cell + gap))
            if place == own:
                left, top = at
                continue
            made.paste(ImageOps.fit(canvas.another(number), (cell, cell)), at)
            number += 1
        return pasted(square, made, left, top)

    return run


def picture_in_picture(canvas: Canvas) -> Canvas:
    """Set it into a corner of another picture, 40 % as wide, in a thin white frame."""
    other = canvas.another()
    ground = long_side(1000)(Canvas(other, other.size, canvas.draw)).image
    wide = 0.4 * ground.width
    small = resized(canvas, wide, wide * canvas.height / canvas.width)
    if small.height > 0.8 * ground.height:
        small = resized(
            canvas, 0.8 * ground.height * canvas.width / canvas.height, 0.8 * ground.height
        )
    edge = max(1, ground.width // 100)
    left = canvas.draw.choice([3 * edge, ground.width - small.width - 3 * edge])
    top = canvas.draw.choice([3 * edge, max(3 * edge, ground.height - small.height - 3 * edge)])
    frame = (left - edge, top - edge, left + small.width + edge - 1, top + small.height + edge - 1)
    ImageDraw.Draw(ground).rectangle(frame, fill="white")
    return pasted(small, ground, left, top)
