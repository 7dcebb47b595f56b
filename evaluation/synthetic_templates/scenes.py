"""Photo-like scenes in which one thing is another: products, rooms and fixed cameras."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from evaluation import synthetic_photos
from evaluation.edits.lettering import captioned
from evaluation.synthetic_templates.drawing import (
    PALETTE,
    date,
    drawn,
    goods,
    name,
    paper,
    portrait,
    ramp,
    say,
    sentence,
    sheet,
    studio,
)


def same_studio(seed: int) -> Image.Image:
    """Photograph another product at the same place of one studio."""
    draw = drawn("goods", seed)
    thing = goods(draw, draw.choice(PALETTE), draw.randint(300, 380))
    return paper(studio(thing, 760, 570), draw, 1.5)


def other_colour(seed: int) -> Image.Image:
    """Photograph a product on white; twelve seeds in a row are one product in twelve colours."""
    shape = drawn("shape", seed // 12)
    made = ramp((640, 640), "#ffffff", "#f1f1f1")
    thing = goods(shape, PALETTE[seed % 12], 520)
    shadow = Image.new("L", made.size, 0)
    ImageDraw.Draw(shadow).ellipse((150, 525, 490, 570), fill=90)
    made.paste("#555555", (0, 0), shadow.filter(ImageFilter.GaussianBlur(12)))
    made.paste(thing, (60, 70), thing)
    return paper(made, drawn("colour", seed), 0.8)


def logo(seed: int) -> Image.Image:
    """Draw a firm's logo; twelve seeds in a row are one logo in twelve colours."""
    shape = drawn("logo", seed // 12)
    colour = PALETTE[seed % 12]
    made, pen = sheet((600, 400))
    x = 300
    for n in range(shape.randint(2, 4)):
        r = 110 - 28 * n
        pen.regular_polygon(
            (x, 160, r),
            shape.choice([3, 4, 5, 6, 8]),
            shape.randint(0, 90),
            fill=colour if n % 2 == 0 else "white",
        )
    say(
        pen,
        (300, 320),
        shape.choice(["NORVA", "Tellio", "quint", "BAROS", "Emvera", "ZYLO"]),
        76,
        colour,
        anchor="mm",
    )
    return made


def video_call(seed: int) -> Image.Image:
    """Draw a window of a video call: other people in other rooms."""
    draw = drawn("call", seed)
    made, pen = sheet((920, 600), "#202124")
    for place in range(4):
        room = synthetic_photos.photo(draw.getrandbits(32), 430, 244).filter(
            ImageFilter.GaussianBlur(3)
        )
        person = portrait(draw, 200, 244)
        mask = Image.new("L", person.size, 0)
        ImageDraw.Draw(mask).ellipse((10, 20, 190, 300), fill=255)
        room.paste(person, (draw.randint(80, 150), 0), mask)
        left, top = 20 + 450 * (place % 2), 20 + 260 * (place // 2)
        made.paste(room, (left, top))
        pen.rectangle((left + 8, top + 212, left + 110, top + 238), fill="#202124")
        say(pen, (left + 16, top + 216), ("Ann", "Ben", "Carla", "Deniz")[place], 17, "white")
    for n, colour in enumerate(("#3c4043", "#3c4043", "#ea4335", "#3c4043")):
        pen.ellipse((350 + 60 * n, 546, 394 + 60 * n, 590), fill=colour)
    return made


def fixed_camera(seed: int) -> Image.Image:
    """Take a picture with one fixed camera on another day: other light, clouds and cars."""
    draw = drawn("camera", seed)
    rng = np.random.default_rng(draw.getrandbits(32))
    made = np.asarray(synthetic_photos.photo(4711, 800, 600), np.float32).copy()
    clouds = cv2.resize(
        rng.standard_normal((5, 8)).astype(np.float32), (800, 180), interpolation=cv2.INTER_CUBIC
    )
    sky = np.array(draw.choice([(120, 165, 215), (170, 175, 182), (215, 160, 120)]), np.float32)
    made[:180] = sky + 22 * clouds[:, :, None]
    image = Image.fromarray(np.clip(made * draw.uniform(0.75, 1.15), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.polygon([(0, 600), (800, 600), (560, 330), (240, 330)], fill="#6a6a6a")
    for _ in range(draw.randint(3, 7)):
        depth = draw.uniform(0.1, 1)
        wide = 30 + 110 * depth
        x, y = 400 + (draw.uniform(-0.35, 0.35)) * (320 + 480 * depth), 330 + 240 * depth
        pen.rounded_rectangle(
            (x - wide / 2, y - wide * 0.5, x + wide / 2, y), wide / 8, fill=draw.choice(PALETTE)
        )
        pen.rectangle(
            (x - wide * 0.35, y - wide * 0.42, x + wide * 0.35, y - wide * 0.25), fill="#22303a"
        )
    pen.rectangle((0, 0, 330, 30), fill="black")
    clock = f"{date(draw)[:5]}.2026  {draw.randint(6, 20):02}:{draw.randint(0, 59):02}"
    say(pen, (8, 5), f"CAM 03   {clock}", 18, "white")
    return paper(image, draw, 2)


# --- one photo ----------------------------------------------------------------------------------


def captions(seed: int) -> Image.Image:
    """Lay another caption over one photo."""
    draw = drawn("meme", seed)
    words = " ".join(name(draw, 2) for _ in range(4))
    return captioned(synthetic_photos.photo(77, 600, 450), words)


def padded_meme(seed: int) -> Image.Image:
    """Set one photo under another two lines on white."""
    draw = drawn("padded", seed)
    made, pen = sheet((600, 620))
    for row in range(2):
        say(pen, (24, 24 + 62 * row), sentence(draw, 5), 34)
    made.paste(synthetic_photos.photo(78, 600, 450), (0, 160))
    return made


def framed(seed: int) -> Image.Image:
    """Set one photo into another frame with a badge."""
    draw = drawn("framed", seed)
    edge = draw.randint(24, 60)
    made = Image.new("RGB", (600 + 2 * edge, 450 + 2 * edge), draw.choice(PALETTE))
    made.paste(synthetic_photos.photo(79, 600, 450), (edge, edge))
    pen = ImageDraw.Draw(made)
    inset = edge // 2
    pen.rectangle(
        (inset, inset, made.width - inset, made.height - inset),
        outline=draw.choice(PALETTE),
        width=6,
    )
    x, y = draw.choice([(20, 20), (made.width - 150, 20), (20, made.height - 70)])
    pen.rounded_rectangle((x, y, x + 130, y + 50), 14, fill="white")
    say(pen, (x + 65, y + 25), name(draw, 2).upper(), 26, anchor="mm")
    return made
