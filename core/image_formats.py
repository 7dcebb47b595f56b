"""Picture formats by name: in the setting, as people know them, and as Pillow calls them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

FORMATS = ("jpeg", "png", "gif", "webp", "avif", "heic", "tiff", "bmp", "ppm")
"""Formats that can be decoded, as the setting SEENIT_FORMATS names them."""
BY_DEFAULT = tuple(name for name in FORMATS if name != "heic")
"""Formats decoded unless the setting says otherwise: the HEIC decoder has known memory faults."""
_TITLES = {name: name.upper() for name in FORMATS} | {"webp": "WebP"}


def parse(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of names, in one order.

    Raise ValueError for an unknown name and for an empty list.
    """
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    allowed = ", ".join(FORMATS)
    unknown = [
        f"{name[:40]!r} is no format (did you mean {_nearest(name)}?)"
        for name in names
        if name and name not in FORMATS
    ]
    if unknown:
        raise ValueError(f"{'; '.join(unknown)}; the formats are {allowed}")
    if not any(names):
        raise ValueError(f"no format is named; the formats are {allowed}")
    return tuple(name for name in FORMATS if name in names)


def titles(formats: Sequence[str]) -> str:
    """Format the names as people know them, such as "JPEG, PNG, WebP", in one order."""
    return ", ".join(_TITLES[name] for name in FORMATS if name in formats)


def setting(name: str) -> str:
    """Return the name in the setting of a format by Pillow's name."""
    return "heic" if name == "HEIF" else name.lower()


def _nearest(name: str) -> str:
    return difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
