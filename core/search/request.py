"""What can be searched for, and in which ways: checked before anything is looked up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from core.errors import MalformedError
from core.ports import Filters
from core.types import SPACE_KINDS, Vector

Mode = Literal["hybrid", "visual", "caption", "keyword"]
Metric = Literal["cosine", "l2"]
Grouping = Literal["category", "owner_id", "decision", "verdict", "tag"]

ROUNDING = 1e-6
"""What a float32 cosine may be off: a bound taken from an answer lets that answer through."""


class SearchRequest(Struct, frozen=True, kw_only=True):
    """A search. A text, a stored picture, a picture sent along, or in hybrid several of them."""

    text: str | None = None
    image_id: str | None = None
    vector: Vector | None = None
    """Of a picture sent along, in the active visual space, as `Searcher.see` makes it."""
    mode: Mode = "hybrid"
    filters: Filters = Filters()
    """Where they name no decision, only pictures that are allowed are found."""
    limit: int = 20
    min_similarity: float | Mapping[str, float] | None = None
    """Least cosine: a number with one space, by `visual` and `caption` in hybrid.

    In hybrid a picture must reach it in at least one of the spaces named, however it was found: one
    that keywords alone brought up goes where no cosine of it is high enough, or known.
    """
    max_distance: float | None = None
    """Of `metric`, with one space; the bound itself is within."""
    metric: Metric = "cosine"
    """cosine: 1 - cosine; l2: the distance of unit vectors, sqrt(2 - 2 cosine), at most 2."""
    group_by: Grouping | None = None
    """Only the best of each value; one without a value is left out, a tag counts each."""
    collapse: bool = True
    """Copies fall onto their original, the best one counts; else they appear by themselves."""
    space: str | None = None
    """`visual`, `caption` or the id of a space: refused unless it is the active one."""
    with_vectors: bool = False
    """Whether the records of the hits carry their stored vectors."""


def check(ask: SearchRequest) -> None:
    """Whether this can be asked. Raise MalformedError naming what is wrong."""
    pictures = [name for name in ("image_id", "vector") if getattr(ask, name) is not None]
    words = ask.text is not None and bool(ask.text.strip())
    if not pictures and not words:
        raise MalformedError("send a text, an image_id or a file to search by", field="text")
    if ask.limit < 1:
        raise MalformedError("limit is at least 1", field="limit")
    if ask.mode != "hybrid":
        _one(ask, pictures, words=words)
    _bounds(ask)
    if ask.space is not None:
        _space(ask)


def floors(ask: SearchRequest) -> dict[str, float]:
    """Least cosine by kind of space, of those that have one."""
    if isinstance(ask.min_similarity, Mapping):
        return {kind: least - ROUNDING for kind, least in ask.min_similarity.items()}
    found = [] if ask.min_similarity is None else [ask.min_similarity]
    if ask.max_distance is not None:
        far = ask.max_distance
        found.append(1 - far if ask.metric == "cosine" else 1 - far * far / 2)
    return {ask.mode: max(found) - ROUNDING} if found else {}


def distance(ask: SearchRequest, similarity: float) -> float:
    """How far a cosine is, by the metric asked for; never below 0."""
    if ask.metric == "cosine":
        return max(0.0, 1 - similarity)
    return math.sqrt(max(0.0, 2 - 2 * similarity))


def _one(ask: SearchRequest, pictures: list[str], *, words: bool) -> None:
    if len(pictures) + words > 1:
        raise MalformedError(
            f"{ask.mode} is asked by one thing at a time; hybrid takes several", field="mode"
        )
    if ask.mode == "keyword" and not words:
        raise MalformedError("keyword is asked by a text", field="mode")
    if ask.mode == "caption" and ask.vector is not None:
        raise MalformedError(
            "caption is asked by a text or a stored picture: a file has no words", field="mode"
        )


def _bounds(ask: SearchRequest) -> None:
    _least(ask)
    far = ask.max_distance
    if ask.mode not in SPACE_KINDS:
        if far is not None:
            raise MalformedError("max_distance goes with visual or caption", field="max_distance")
        if ask.metric != "cosine":
            raise MalformedError("metric goes with visual or caption", field="metric")
    if far is not None and not 0 <= far <= 2:  # noqa: PLR2004 - of unit vectors, either way
        raise MalformedError("max_distance is between 0 and 2", field="max_distance")


def _least(ask: SearchRequest) -> None:
    least, name = ask.min_similarity, "min_similarity"
    if least is None:
        return
    if ask.mode == "keyword":
        raise MalformedError(f"{name} is a cosine, and keyword has none", field=name)
    if not isinstance(least, Mapping):
        if ask.mode == "hybrid":
            example = '{"caption": 0.4}'
            raise MalformedError(f"{name} of hybrid is an object such as {example}", field=name)
        _cosine(name, least)
        return
    if ask.mode != "hybrid":
        raise MalformedError(f"{name} of {ask.mode} is a number", field=name)
    for kind, value in least.items():
        if kind not in SPACE_KINDS:
            raise MalformedError(f"{name} is by visual and caption", field=f"{name}.{kind}"[:80])
        _cosine(f"{name}.{kind}", value)


def _cosine(name: str, value: float) -> None:
    if not -1 <= value <= 1:
        raise MalformedError(f"{name} is between -1 and 1", field=name)


def _space(ask: SearchRequest) -> None:
    kind = (ask.space or "").partition("-")[0]
    if kind not in SPACE_KINDS:
        raise MalformedError("space is visual, caption or the id of a space", field="space")
    if ask.mode not in ("hybrid", kind):
        raise MalformedError(f"mode {ask.mode} does not ask in a {kind} space", field="space")
