"""The photos that scikit-image's wheel brings, and what is done to them.

Nothing is downloaded and no photo lies in this repository: they are read where pip put them.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from PIL import Image, ImageOps

from core.edits import EDITS, captioned, jpeg


class Photo(Struct, frozen=True):
    """A photo that nobody has seen before."""

    name: str
    file: str
    title: str
    terms: str
    """Who made it, and on what terms, as scikit-image says."""


class Copy(Struct, frozen=True, kw_only=True):
    """A photo sent again, and what must be said of it."""

    of: str
    title: str
    make: Callable[[bytes], bytes]
    kind: str = "near_duplicate"
    decision: str = "allow"
    mirrored: bool = False
    changed: bool = False
    """Whether something was laid over it, which has to be found."""


PHOTOS = (
    Photo("astronaut", "astronaut.png", "Eileen Collins", "NASA, public domain"),
    Photo("cat", "chelsea.png", "Chelsea the cat", "Stefan van der Walt, CC0"),
    Photo("coffee", "coffee.png", "A cup of coffee", "Rachel Michetti, CC0"),
    Photo("rocket", "rocket.jpg", "Falcon 9 lifts off", "SpaceX, public domain"),
    Photo("hubble", "hubble_deep_field.jpg", "Hubble eXtreme Deep Field", "NASA, public domain"),
    Photo("camera", "camera.png", "A man with a camera", "Lav Varshney, CC0"),
    Photo("coins", "coins.png", "Coins from Pompeii", "Brooklyn Museum, no known restrictions"),
    Photo("retina", "retina.jpg", "A retina", "Mikael Häggström, CC0"),
    Photo("clock", "clock_motion.png", "A clock in motion", "Stefan van der Walt, public domain"),
    Photo(
        "motorcycle, left eye",
        "motorcycle_left.png",
        "A motorcycle, seen by the left eye",
        "Middlebury 2014 stereo benchmark",
    ),
    Photo(
        "motorcycle, right eye",
        "motorcycle_right.png",
        "The same motorcycle, seen by the right eye: another photo",
        "Middlebury 2014 stereo benchmark",
    ),
)


def edited(name: str) -> Callable[[bytes], bytes]:
    """One of the named edits, always the same one."""
    return lambda data: EDITS[name].apply(_open(data), seed=7)


def _same(data: bytes) -> bytes:
    return data


def _caption(data: bytes) -> bytes:
    return jpeg(captioned(_open(data), "I took this one myself"))


def _poster(data: bytes) -> bytes:
    """Grey, in a wide frame, small, and saved badly: several things at once."""
    small = _open(data).convert("L").resize((300, 300))
    return jpeg(ImageOps.expand(small.convert("RGB"), (40, 30, 40, 90), "#202833"), 40)


COPIES = (
    Copy(of="astronaut", title="The same file again", make=_same, kind="exact"),
    Copy(of="cat", title="Mirrored and cropped", make=edited("mirror-crop-70"), mirrored=True),
    Copy(of="coffee", title="A screenshot of it", make=edited("screenshot")),
    Copy(
        of="rocket",
        title="With a caption over it",
        make=_caption,
        decision="review",
        changed=True,
    ),
    Copy(of="astronaut", title="A quarter of its area", make=edited("crop-25")),
    Copy(of="camera", title="Turned by 90 degrees", make=edited("quarter-turn")),
    Copy(of="coins", title="Turned by 10 degrees", make=edited("turn-10")),
    Copy(of="hubble", title="Two fifths of its area", make=edited("crop-40")),
    Copy(of="retina", title="With a border", make=edited("border")),
    Copy(of="coffee", title="Saved at JPEG quality 10", make=edited("jpeg-10")),
    Copy(of="cat", title="Stretched by 1.3", make=edited("stretch")),
    Copy(
        of="motorcycle, left eye",
        title="Cropped, halved, JPEG 10",
        make=edited("jpeg-10-half-crop-90"),
    ),
    Copy(of="astronaut", title="Small, grey and framed", make=_poster),
)

CHECKED = Copy(of="clock", title="Turned, and only asked about", make=edited("quarter-turn"))


def read(photo: Photo) -> bytes:
    """The file as it came in the wheel. Raise FileNotFoundError."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise FileNotFoundError(
            "scikit-image is not installed, which brings the photos: make setup"
        )
    return (Path(found.origin).parent / "data" / photo.file).read_bytes()


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
