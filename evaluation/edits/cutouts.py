"""Edits that hide, cut away or replace a part of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.evidence import StatementCode
from evaluation.edits.canvas import Canvas, levels_of


def _middle(canvas: Canvas, share: float) -> tuple[int, int, int, int]:
    """Return the box in the middle of the picture that takes a share of both sides."""
    wide, high = max(1, round(canvas.width * share)), max(1, round(canvas.height * share))
    left, top = (canvas.width - wide) // 2, (canvas.height - high) // 2
    return left, top, left + wide, top + high


def centre_blurred(canvas: Canvas) -> Canvas:
    """Blur the middle beyond recognition."""
    box = _middle(canvas, 0.45)
    made = canvas.image.copy()
    blur = ImageFilter.GaussianBlur(max(canvas.image.size) / 30)
    made.paste(canvas.image.filter(blur).crop(box), box[:2])
    return _hidden(canvas, made)


def centre_pixelated(canvas: Canvas) -> Canvas:
    """Hide the middle under a mosaic of twelve squares across, as a face."""
    box = _middle(canvas, 0.4)
    made = canvas.image.copy()
    part = made.crop(box)
    mosaic = part.resize((12, 12), Image.Resampling.BOX).resize(part.size, Image.Resampling.NEAREST)
    made.paste(mosaic, box[:2])
    return _hidden(canvas, made)


def _hidden(canvas: Canvas, made: Image.Image) -> Canvas:
    also: tuple[StatementCode, ...] = ("blurred", "replaced")
    return canvas.covered(made, "laid_over").toned(made, also=also)


def portrait_mode(canvas: Canvas) -> Canvas:
    """Blur all but an ellipse in the middle."""
    blur = ImageFilter.GaussianBlur(max(canvas.image.size) / 100)
    mask = Image.new("L", canvas.image.size, 0)
    ImageDraw.Draw(mask).ellipse(_middle(canvas, 0.6), fill=255)
    soft = mask.filter(ImageFilter.GaussianBlur(max(canvas.image.size) / 80))
    made = Image.composite(canvas.image, canvas.image.filter(blur), soft)
    return canvas.toned(made, "blurred", also=("laid_over", "replaced", "less_contrast"))


def ellipse_on_white(canvas: Canvas) -> Canvas:
    """Leave an ellipse of 80 % of both sides on white."""
    return _cut_out(canvas, _middle(canvas, 0.8))


def avatar(canvas: Canvas) -> Canvas:
    """Leave the largest circle in the middle of a square crop, on white."""
    return _cut_out(canvas, (0, 0, canvas.width, canvas.height))


def avatar_transparent(canvas: Canvas) -> Canvas:
    """Leave the largest circle, and make the rest transparent: RGBA."""
    mask = _round(canvas, (0, 0, canvas.width, canvas.height))
    made = canvas.image.copy()
    made.putalpha(mask)
    return canvas.covered(made, "cut_away")


def _cut_out(canvas: Canvas, box: tuple[int, int, int, int]) -> Canvas:
    ground = Image.new("RGB", canvas.image.size, "white")
    made = Image.composite(canvas.image, ground, _round(canvas, box))
    return canvas.covered(made, "cut_away")


def _round(canvas: Canvas, box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", (2 * canvas.width, 2 * canvas.height), 0)
    ImageDraw.Draw(mask).ellipse(tuple(2 * side for side in box), fill=255)
    return mask.resize(canvas.image.size, Image.Resampling.BOX)


def before_after(canvas: Canvas) -> Canvas:
    """Show another picture in one half, parted by a white line."""
    made = canvas.image.copy()
    half = canvas.width // 2
    other = canvas.another().resize(canvas.image.size, Image.Resampling.BICUBIC)
    left = canvas.draw.choice([0, half])
    made.paste(other.crop((left, 0, left + half, canvas.height)), (left, 0))
    wide = max(1, canvas.width // 120)
    ImageDraw.Draw(made).rectangle((half - wide, 0, half + wide, canvas.height), fill="white")
    return canvas.covered(made, "replaced").toned(made, also=("laid_over",))


def sky_replaced(canvas: Canvas) -> Canvas:
    """Replace the upper third by a clear evening sky with clouds, softly joined."""
    high = max(1, canvas.height // 3)
    rng = np.random.default_rng(canvas.draw.getrandbits(32))
    ramp = np.linspace(0, 1, high, dtype=np.float32)[:, None, None]
    top, low = levels_of([40, 90, 170]), levels_of([240, 190, 150])
    sky = top + (low - top) * ramp + np.zeros((high, canvas.width, 3), np.float32)
    blobs = rng.standard_normal((6, 10)).astype(np.float32)
    clouds = np.clip(cv2.resize(blobs, (canvas.width, high), interpolation=cv2.INTER_CUBIC), 0, 1)
    sky += (245 - sky) * clouds.reshape(high, canvas.width, 1) * 0.6
    levels = canvas.levels.copy()
    fade = np.clip((1 - ramp) * 6, 0, 1)
    levels[:high] += (sky - levels[:high]) * fade
    made = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    return canvas.covered(made, "replaced")


def object_removed(canvas: Canvas) -> Canvas:
    """Paint 15 % of the area out from what is around it."""
    scale = min(1.0, 400 / max(canvas.image.size))
    size = (max(1, round(canvas.width * scale)), max(1, round(canvas.height * scale)))
    mask = np.zeros(size[::-1], np.uint8)
    x = round(size[0] * canvas.draw.uniform(0.35, 0.65))
    y = round(size[1] * canvas.draw.uniform(0.35, 0.65))
    radius = 0.15**0.5 / math.pi**0.5
    axes = (max(1, round(size[0] * radius)), max(1, round(size[1] * radius)))
    cv2.ellipse(mask, (x, y), axes, 0, 0, 360, 255, -1)
    small = np.asarray(canvas.image.resize(size, Image.Resampling.BICUBIC))
    painted = Image.fromarray(cv2.inpaint(small, mask, 5, cv2.INPAINT_TELEA))
    filled = painted.resize(canvas.image.size, Image.Resampling.BICUBIC)
    chosen = Image.fromarray(mask).resize(canvas.image.size, Image.Resampling.BILINEAR)
    return canvas.covered(Image.composite(filled, canvas.image, chosen), "replaced")
