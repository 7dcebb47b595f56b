"""A picture under edit, with its position in the original and all that was done to it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image

from core.evidence import ChangeKind, StatementCode
from evaluation import synthetic_photos

Map = NDArray[np.floating[Any]]
"""(3, 3) homography between two frames in continuous pixels: corners lie at 0 and at the sides."""
Floats = NDArray[np.floating[Any]]
"""(height, width, 3) levels from 0 to 255."""
GRID = 128
"""Side in cells of the masks over the original's frame."""
_SEEN = 6
"""Grey levels of any channel from which a pixel counts as covered."""


class Canvas(Struct, frozen=True):
    """A picture under edit; every edit is a pure function from one canvas to the next.

    `draw` is seeded by the caller, `others` are further pictures that collages and scenes show.
    """

    image: Image.Image
    """RGB, or RGBA once it was made transparent."""
    size: tuple[int, int]
    """Width and height of the original, in pixels."""
    draw: Random
    others: tuple[Image.Image, ...] = ()
    map: Map = np.eye(3)
    """From the original to this picture."""
    outline: Map | None = None
    """(n, 2) convex outline of what is left of the original, in this picture; None: all of it."""
    done: frozenset[StatementCode] = frozenset()
    """Changes made on purpose, besides those that `map` shows."""
    also: frozenset[StatementCode] = frozenset()
    """Further statements that hold, or that are a matter of reading."""
    masks: dict[ChangeKind, NDArray[np.uint8]] = {}
    """(GRID, GRID) over the original's frame: 255 where a change of this kind lies."""

    @property
    def width(self) -> int:
        """Return the present width in pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Return the present height in pixels."""
        return self.image.height

    @property
    def shown(self) -> Map:
        """Return `outline`, of a picture that was never moved its four corners."""
        if self.outline is not None:
            return self.outline
        return _corners(self.image.size)

    @property
    def levels(self) -> Floats:
        """Return the picture as (height, width, 3) float32."""
        return np.asarray(self.image.convert("RGB"), np.float32)

    def moved(self, image: Image.Image, step: Map) -> Canvas:
        """Continue with a picture into which `step` maps the present one."""
        laid = (
            cv2.perspectiveTransform(self.shown[None], step)[0] if len(self.shown) else self.shown
        )
        _, inside = cv2.intersectConvexConvex(
            laid.astype(np.float32), _corners(image.size).astype(np.float32)
        )
        outline = (np.zeros((0, 2)) if inside is None else inside).reshape(-1, 2)
        return replace(self, image=image, map=step @ self.map, outline=outline.astype(float))

    def toned(
        self,
        image: Image.Image | Floats,
        *done: StatementCode,
        also: tuple[StatementCode, ...] = (),
    ) -> Canvas:
        """Continue with other levels of the same pixels, and say what this was."""
        made = image if isinstance(image, Image.Image) else picture(image)
        return replace(self, image=made, done=self.done | set(done), also=self.also | set(also))

    def covered(
        self, image: Image.Image, kind: ChangeKind, *done: StatementCode, minor: bool = False
    ) -> Canvas:
        """Continue with a picture that differs in part; the part is taken from the pixels.

        `minor` changes may be stated and need not be. The kind is true beside the closer word for
        it: a caption and a watermark are laid over.
        """
        before, after = self.levels, np.asarray(image.convert("RGB"), np.float32)
        mask = (np.abs(after - before).max(axis=2) > _SEEN).astype(np.uint8) * 255
        if image.mode == "RGBA":
            mask |= 255 - np.asarray(image.getchannel("A"))
        thick = max(1, -(-max(image.size) // GRID))
        mask = cv2.dilate(mask, np.ones((thick, thick), np.uint8)).astype(np.uint8)
        inverse = np.diag([GRID / self.size[0], GRID / self.size[1], 1.0]) @ np.linalg.inv(self.map)
        laid = cv2.warpPerspective(mask, inverse, (GRID, GRID), flags=cv2.INTER_LINEAR)
        held = np.maximum(self.masks.get(kind, np.zeros_like(laid)), laid).astype(np.uint8)
        codes: set[StatementCode] = set(done) or {kind}
        return replace(
            self,
            image=image,
            masks={**self.masks, kind: held},
            done=self.done if minor else self.done | codes,
            also=self.also | codes | {kind},
        )

    def another(self, number: int = 0) -> Image.Image:
        """Return another picture, RGB: of those given, or a generated one of this size."""
        if number < len(self.others):
            return self.others[number].convert("RGB")
        return synthetic_photos.photo(self.draw.getrandbits(32), self.width, self.height)


def _corners(size: tuple[int, int]) -> Map:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


Step = Callable[[Canvas], Canvas]
"""One thing done to a picture."""


def chain(*steps: Step) -> Step:
    """Combine several steps into one, done in this order."""

    def run(canvas: Canvas) -> Canvas:
        for step in steps:
            canvas = step(canvas)
        return canvas

    return run


def saved(quality: int) -> Step:
    """Make a step that saves as JPEG of a quality from 1 to 95, and opens it again."""

    def run(canvas: Canvas) -> Canvas:
        with Image.open(io.BytesIO(jpeg(canvas.image, quality))) as opened:
            return replace(canvas, image=opened.convert("RGB"))

    return run


def levels_of(values: Sequence[float] | Sequence[Sequence[float]]) -> Floats:
    """Return a colour, or a list of colours, as float32."""
    return np.array(values, np.float32)


def picture(levels: Floats) -> Image.Image:
    """Round levels to an RGB picture."""
    return Image.fromarray(np.clip(levels + 0.5, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """Encode as JPEG with Pillow's usual chroma subsampling; `quality` is 1 to 95."""
    held = io.BytesIO()
    image.convert("RGB").save(held, "JPEG", quality=quality)
    return held.getvalue()
