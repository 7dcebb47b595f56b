"""Pseudo queries: one sentence of a picture's own texts, and the remaining caption."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from msgspec.structs import replace

from core.records import Fields, caption

_ENDS = re.compile(r"(?<=[.!?;])\s+|\s*\n\s*")
_LEAST_WORDS = 3
"""Words of a sentence that could be a query: `IMG 0042` is none."""


class PseudoQuery(NamedTuple):
    """One sentence of the texts about a picture, and the caption without it."""

    text: str
    rest: str
    """Remaining text, "" if there is none."""


def question(image_id: str, fields: Fields) -> PseudoQuery | None:
    """Choose the query sentence by the picture's id; None if there is no sentence."""
    titles = _sentences(fields.title)
    described = _sentences(fields.description)
    fit = [n for n, one in enumerate(titles + described) if len(one.split()) >= _LEAST_WORDS]
    if not fit:
        return None
    pick = fit[place(image_id) % len(fit)]
    left = [one if n != pick else "" for n, one in enumerate(titles + described)]
    rest = replace(
        fields,
        title=" ".join(filter(None, left[: len(titles)])),
        description="\n".join(filter(None, left[len(titles) :])),
    )
    return PseudoQuery((titles + described)[pick], caption(rest))


def place(image_id: str) -> int:
    """Return a number for sampling pictures: the same in every run, and independent of time."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")


def _sentences(text: str | None) -> list[str]:
    return [one.strip() for one in _ENDS.split(text or "") if one.strip()]
