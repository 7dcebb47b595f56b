"""Photos in scikit-image's wheel, and the edits applied to them.

Nothing is downloaded and no photo is in this repository: they are read where pip installed them.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from PIL import Image, ImageOps

from evaluation.edits import EDITS, jpeg
from evaluation.edits.lettering import captioned


class Photo(Struct, frozen=True, kw_only=True):
    """New photo with its texts."""

    name: str
    file: str
    title: str
    terms: str
    """Author and terms, according to scikit-image."""
    description: str
    tags: tuple[str, ...]
    category: str

    @property
    def fields(self) -> dict[str, str | list[str]]:
        """Return the form fields of the upload."""
        return {
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "category": self.category,
            "external_id": self.name,
            "owner_id": "photographer",
        }


class Copy(Struct, frozen=True, kw_only=True):
    """Edited photo with its expected verdict."""

    of: str
    title: str
    make: Callable[[bytes], bytes]
    kind: str = "near_duplicate"
    decision: str = "allow"
    mirrored: bool = False
    changed: bool = False
    """Whether it has an overlay, which has to be found."""


PHOTOS = (
    Photo(
        name="astronaut",
        file="astronaut.png",
        title="Eileen Collins",
        terms="NASA, public domain",
        description="An astronaut in an orange spacesuit smiles beside a model of her shuttle",
        tags=("astronaut", "portrait", "spaceflight"),
        category="space",
    ),
    Photo(
        name="cat",
        file="chelsea.png",
        title="Chelsea the cat",
        terms="Stefan van der Walt, CC0",
        description="A ginger tabby cat with green eyes looks into the distance",
        tags=("pet", "animal"),
        category="animals",
    ),
    Photo(
        name="coffee",
        file="coffee.png",
        title="A cup of coffee",
        terms="Rachel Michetti, CC0",
        description="A white cup of espresso on a saucer, with a spoon, on a wooden table",
        tags=("drink", "café"),
        category="food",
    ),
    Photo(
        name="rocket",
        file="rocket.jpg",
        title="Falcon 9 lifts off",
        terms="SpaceX, public domain",
        description="A rocket rises from its launch pad in fire and smoke",
        tags=("launch", "spaceflight"),
        category="space",
    ),
    Photo(
        name="hubble",
        file="hubble_deep_field.jpg",
        title="Hubble eXtreme Deep Field",
        terms="NASA, public domain",
        description="Thousands of far galaxies in a black sky, seen by a space telescope",
        tags=("galaxies", "astronomy"),
        category="space",
    ),
    Photo(
        name="camera",
        file="camera.png",
        title="A man with a camera",
        terms="Lav Varshney, CC0",
        description="A man in a dark coat films with a camera on a tripod, in black and white",
        tags=("photographer", "lawn"),
        category="people",
    ),
    Photo(
        name="coins",
        file="coins.png",
        title="Coins from Pompeii",
        terms="Brooklyn Museum, no known restrictions",
        description="Ancient coins, worn by use, laid out in rows",
        tags=("money", "history", "museum"),
        category="objects",
    ),
    Photo(
        name="retina",
        file="retina.jpg",
        title="A retina",
        terms="Mikael Häggström, CC0",
        description="The back of a human eye and its blood vessels, as an eye doctor sees it",
        tags=("medicine", "eye"),
        category="medicine",
    ),
    Photo(
        name="clock",
        file="clock_motion.png",
        title="A clock in motion",
        terms="Stefan van der Walt, public domain",
        description="The face of a wall clock, blurred because the camera moved",
        tags=("time", "blur"),
        category="objects",
    ),
    Photo(
        name="motorcycle, left eye",
        file="motorcycle_left.png",
        title="A motorcycle, seen by the left eye",
        terms="Middlebury 2014 stereo benchmark",
        description="A motorcycle parked in a workshop among tools and shelves",
        tags=("vehicle", "workshop"),
        category="vehicles",
    ),
    Photo(
        name="motorcycle, right eye",
        file="motorcycle_right.png",
        title="The same motorcycle, seen by the right eye: another photo",
        terms="Middlebury 2014 stereo benchmark",
        description="A motorcycle parked in a workshop among tools and shelves",
        tags=("vehicle", "workshop"),
        category="vehicles",
    ),
)


def edited(name: str) -> Callable[[bytes], bytes]:
    """Return one of the named edits, always with the same seed."""
    return lambda data: EDITS[name].apply(_open(data), seed=7)


def _same(data: bytes) -> bytes:
    return data


def _caption(data: bytes) -> bytes:
    return jpeg(captioned(_open(data), "I took this one myself"))


def _poster(data: bytes) -> bytes:
    """Make a grey, framed, small and badly compressed copy: several edits at once."""
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
    """Read the file in the wheel. Raise FileNotFoundError."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise FileNotFoundError(
            "scikit-image is not installed, which brings the photos: make setup"
        )
    return (Path(found.origin).parent / "data" / photo.file).read_bytes()


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
