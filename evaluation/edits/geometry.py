"""Edits of geometry: resizing, cropping, turning, mirroring, slanting and bending."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.edits.canvas import Canvas, Map, Step

_TRANSPOSED: dict[Image.Transpose, NDArray[np.float64]] = {
    Image.Transpose.FLIP_LEFT_RIGHT: np.array([[-1, 0, 1, 0], [0, 1, 0, 0]], np.float64),
    Image.Transpose.FLIP_TOP_BOTTOM: np.array([[1, 0, 0, 0], [0, -1, 0, 1]], np.float64),
    Image.Transpose.ROTATE_90: np.array([[0, 1, 0, 0], [-1, 0, 1, 0]], np.float64),
    Image.Transpose.ROTATE_180: np.array([[-1, 0, 1, 0], [0, -1, 0, 1]], np.float64),
    Image.Transpose.ROTATE_270: np.array([[0, -1, 0, 1], [1, 0, 0, 0]], np.float64),
}
"""Rows of x' and y': factors of x, y, the width and the height of the picture that is turned."""


def resized(canvas: Canvas, width: float, height: float) -> Canvas:
    """Resize to a width and height in pixels, bicubic with Pillow's own smoothing."""
    size = (max(1, round(width)), max(1, round(height)))
    step = np.diag([size[0] / canvas.width, size[1] / canvas.height, 1.0])
    return canvas.moved(canvas.image.resize(size, Image.Resampling.BICUBIC), step)


def scaled(across: float, down: float) -> Step:
    """Make a step that resizes by two factors; at least one pixel remains."""
    return lambda c: resized(c, c.width * across, c.height * down)


def long_side(pixels: int) -> Step:
    """Make a step that resizes the longer side to so many pixels."""

    def run(canvas: Canvas) -> Canvas:
        factor = pixels / max(canvas.width, canvas.height)
        return resized(canvas, canvas.width * factor, canvas.height * factor)

    return run


def shaped(across: float, down: float) -> Step:
    """Make a step that squeezes the picture into a shape, and keeps its longer side."""

    def run(canvas: Canvas) -> Canvas:
        side = max(canvas.width, canvas.height) / max(across, down)
        return resized(canvas, across * side, down * side)

    return run


def cut(canvas: Canvas, box: tuple[int, int, int, int]) -> Canvas:
    """Cut out a box of left, top, right and bottom in pixels."""
    step = np.eye(3)
    step[:2, 2] = -box[0], -box[1]
    return canvas.moved(canvas.image.crop(box), step)


def cropped(share: float) -> Step:
    """Make a step that cuts out a share of the area, in its own proportions, anywhere in it."""

    def run(canvas: Canvas) -> Canvas:
        width = max(1, round(canvas.width * share**0.5))
        height = max(1, round(canvas.height * share**0.5))
        left = canvas.draw.randint(0, canvas.width - width)
        top = canvas.draw.randint(0, canvas.height - height)
        return cut(canvas, (left, top, left + width, top + height))

    return run


def cropped_to(across: float, down: float) -> Step:
    """Make a step that cuts the largest box of a shape out of the middle."""

    def run(canvas: Canvas) -> Canvas:
        side = min(canvas.width / across, canvas.height / down)
        width, height = max(1, round(side * across)), max(1, round(side * down))
        left, top = (canvas.width - width) // 2, (canvas.height - height) // 2
        return cut(canvas, (left, top, left + width, top + height))

    return run


def transposed(way: Image.Transpose) -> Step:
    """Make a step that mirrors, or turns by quarters."""

    def run(canvas: Canvas) -> Canvas:
        rows = _TRANSPOSED[way]
        step = np.eye(3)
        step[:2, :2] = rows[:, :2]
        step[:2, 2] = rows[:, 2] * canvas.width + rows[:, 3] * canvas.height
        return canvas.moved(canvas.image.transpose(way), step)

    return run


mirrored = transposed(Image.Transpose.FLIP_LEFT_RIGHT)


def turned(degrees: float, *, whole: bool = False, ground: str = "black") -> Step:
    """Make a step that turns counter-clockwise on a ground.

    The canvas keeps its size, so that corners that turn out of it are lost; `whole` extends it.
    """

    def run(canvas: Canvas) -> Canvas:
        image = canvas.image.rotate(
            degrees, Image.Resampling.BICUBIC, expand=whole, fillcolor=ground
        )
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        step = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        middle = np.array([canvas.width / 2, canvas.height / 2])
        step[:2, 2] = np.array([image.width / 2, image.height / 2]) - step[:2, :2] @ middle
        return canvas.moved(image, step)

    return run


def turned_either(degrees: float) -> Step:
    """Make a step that turns to the left or to the right, on a canvas of the same size."""
    return lambda c: turned(c.draw.choice([-degrees, degrees]))(c)


def quad(size: tuple[float, float], corners: Sequence[tuple[float, float]]) -> Map:
    """Return the map that lays a picture of a size into four corners, clockwise from upper left."""
    width, height = size
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(frame, np.array(corners, np.float32)), float)


def laid_into(canvas: Canvas, scene: Image.Image, step: Map) -> Canvas:
    """Lay the picture into a scene by a map; smooth where it shrinks, with soft edges."""
    area = abs(float(np.linalg.det(step[:2, :2])))
    image = canvas.levels
    if area < 0.8:  # noqa: PLR2004 less would alias
        radius = 0.4 / math.sqrt(max(area, 1e-3))
        image = cv2.GaussianBlur(image, (0, 0), radius).astype(np.float32)
    # the map is of corners at 0, OpenCV's of centres at 0
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    centres = np.linalg.inv(half) @ step @ half
    size = scene.size
    laid = cv2.warpPerspective(
        image, centres, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.warpPerspective(np.ones(image.shape[:2], np.float32), centres, size)[:, :, None]
    under = np.asarray(scene.convert("RGB"), np.float32)
    mixed = laid * mask + under * (1 - mask)
    return canvas.moved(Image.fromarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8)), step)


def slanted(share: float) -> Step:
    """Make a step that draws every corner inwards by up to a share of the sides."""

    def run(canvas: Canvas) -> Canvas:
        w, h = float(canvas.width), float(canvas.height)
        ground = canvas.draw.choice(["black", "white", "#7d8287"])
        pull = [share * canvas.draw.uniform(0.3, 1.0) for _ in range(8)]
        # one side at least gets all of it
        pull[canvas.draw.randrange(8)] = share
        corners = (
            (pull[0] * w, pull[1] * h),
            (w - pull[2] * w, pull[3] * h),
            (w - pull[4] * w, h - pull[5] * h),
            (pull[6] * w, h - pull[7] * h),
        )
        scene = Image.new("RGB", canvas.image.size, ground)
        return laid_into(canvas, scene, quad((w, h), corners))

    return run


def _bent(canvas: Canvas, across: NDArray[np.float32], down: NDArray[np.float32]) -> Canvas:
    """Take each pixel from elsewhere: (height, width) columns and rows, in pixels."""
    made = cv2.remap(
        np.asarray(canvas.image.convert("RGB")),
        across.astype(np.float32),
        down.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return canvas.toned(
        Image.fromarray(made), "bent", also=("slanted", "stretched", "cropped", "enlarged")
    )


def fisheye(canvas: Canvas) -> Canvas:
    """Bulge the middle as a wide lens does, by a quarter at the corners."""
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    x, y = (columns - canvas.width / 2) / canvas.width, (rows - canvas.height / 2) / canvas.height
    factor = 0.72 + 0.56 * (x * x + y * y)
    across, down = x * factor * canvas.width, y * factor * canvas.height
    return _bent(canvas, across + canvas.width / 2, down + canvas.height / 2)


def wavy(canvas: Canvas) -> Canvas:
    """Shift rows and columns in waves of 1.5 % of the longer side."""
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    side = max(canvas.width, canvas.height)
    phase = canvas.draw.uniform(0, 6)
    across = columns + 0.015 * side * np.sin(rows * (2 * math.pi * 3 / side) + phase)
    down = rows + 0.015 * side * np.sin(columns * (2 * math.pi * 3 / side) + 2 * phase)
    return _bent(canvas, across, down)
