"""Search requests, and their validation before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from core.errors import MalformedError
from core.index_port import Filters
from core.types import SPACE_KINDS, Vector

Mode = Literal["hybrid", "visual", "caption", "keyword"]
Metric = Literal["cosine", "l2"]
Grouping = Literal["category", "owner_id", "decision", "verdict", "tag"]

ROUNDING = 1e-6
"""Rounding of a float32 cosine: a bound copied from a result includes that result."""


class SearchRequest(Struct, frozen=True, kw_only=True):
    """A search by a text, a stored picture, a picture sent along, or in hybrid by several."""

    text: str | None = None
    image_id: str | None = None
    vector: Vector | None = None
    """(d,) vector of a picture sent along, in the active visual space, from `Searcher.see`."""
    mode: Mode = "hybrid"
    filters: Filters = Filters()
    """Without a decision among them, only allowed pictures are found."""
    limit: int = 20
    min_similarity: float | Mapping[str, float] | None = None
    """Minimum cosine: a number with one space, by `visual` and `caption` in hybrid.

    In hybrid a picture must reach it in at least one named space, whichever list found it; one
    found by keywords alone is dropped if none of its cosines is high enough, or known.
    """
    max_distance: float | None = None
    """Maximum distance by `metric`, inclusive, with one space."""
    metric: Metric = "cosine"
    """cosine: 1 - cosine; l2: the distance of unit vectors, sqrt(2 - 2 cosine), at most 2."""
    group_by: Grouping | None = None
    """Return only the best of each value; a picture without one is left out, each tag counts."""
    collapse: bool = True
    """Show copies by their original, ranked by the best; else each appears by itself."""
    space: str | None = None
    """`visual`, `caption` or a space_id, which is refused unless it is the active one."""
    with_vectors: bool = False
    """Whether the records of the hits carry their stored vectors."""


def check(ask: SearchRequest) -> None:
    """Raise MalformedError, with its field, for a request that cannot be run."""
    pictures = [name for name in ("image_id", "vector") if getattr(ask, name) is not None]
    words = ask.text is not None and bool(ask.text.strip())
    if not pictures and not words:
        raise MalformedError("send a text, an image_id or a file to search by", field="text")
    if ask.limit < 1:
        raise MalformedError(f"limit is {ask.limit}: send 1 or more", field="limit")
    if ask.mode != "hybrid":
        _one(ask, pictures, words=words)
    if ask.min_similarity is not None:
        _least(ask.mode, ask.min_similarity)
    if ask.max_distance is not None or ask.metric != "cosine":
        _bounds(ask)
    if ask.space is not None:
        _space(ask)


def floors(ask: SearchRequest) -> dict[str, float]:
    """Return the minimum cosine by kind of space, for those that have one."""
    if isinstance(ask.min_similarity, Mapping):
        return {kind: least - ROUNDING for kind, least in ask.min_similarity.items()}
    found = [] if ask.min_similarity is None else [ask.min_similarity]
    if ask.max_distance is not None:
        far = ask.max_distance
        found.append(1 - far if ask.metric == "cosine" else 1 - far * far / 2)
    return {ask.mode: max(found) - ROUNDING} if found else {}


def distance(ask: SearchRequest, similarity: float) -> float:
    """Return the distance of a cosine by the requested metric, 0 or more."""
    if ask.metric == "cosine":
        return max(0.0, 1 - similarity)
    return math.sqrt(max(0.0, 2 - 2 * similarity))


def _one(ask: SearchRequest, pictures: list[str], *, words: bool) -> None:
    if len(pictures) + words > 1:
        raise MalformedError(
            f"mode {ask.mode} takes one of text, image_id and file; hybrid takes several",
            field="mode",
        )
    if ask.mode == "keyword" and not words:
        raise MalformedError("mode keyword needs a text", field="mode")
    if ask.mode == "caption" and ask.vector is not None:
        raise MalformedError(
            "mode caption needs a text or an image_id: a file has no caption", field="mode"
        )


def _bounds(ask: SearchRequest) -> None:
    far = ask.max_distance
    if ask.mode not in SPACE_KINDS:
        if far is not None:
            raise MalformedError(
                f"max_distance needs mode visual or caption, not {ask.mode}", field="max_distance"
            )
        if ask.metric != "cosine":
            raise MalformedError(
                f"metric needs mode visual or caption, not {ask.mode}", field="metric"
            )
    if far is not None and not 0 <= far <= 2:  # noqa: PLR2004 - of unit vectors, either way
        raise MalformedError(f"max_distance is {far}: send 0 to 2", field="max_distance")


def _least(mode: Mode, least: float | Mapping[str, float]) -> None:
    name = "min_similarity"
    if mode == "keyword":
        raise MalformedError(f"{name} is a cosine, which mode keyword does not have", field=name)
    if not isinstance(least, Mapping):
        if mode == "hybrid":
            example = '{"caption": 0.4}'
            raise MalformedError(
                f"{name} is a number: mode hybrid takes an object such as {example}", field=name
            )
        _cosine(name, least)
        return
    if mode != "hybrid":
        raise MalformedError(f"{name} is an object: mode {mode} takes a number", field=name)
    for kind, value in least.items():
        if kind not in SPACE_KINDS:
            raise MalformedError(
                f"{name} has the unknown key {kind[:40]!r}: use visual or caption",
                field=f"{name}.{kind}"[:80],
            )
        _cosine(f"{name}.{kind}", value)


def _cosine(name: str, value: float) -> None:
    if not -1 <= value <= 1:
        raise MalformedError(f"{name} is {value}: send -1 to 1", field=name)


def _space(ask: SearchRequest) -> None:
    kind = (ask.space or "").partition("-")[0]
    if kind not in SPACE_KINDS:
        raise MalformedError(
            "space is unknown: send visual, caption or the space_id of one", field="space"
        )
    if ask.mode not in ("hybrid", kind):
        raise MalformedError(
            f"mode {ask.mode} does not search a {kind} space: send mode hybrid or {kind}",
            field="space",
        )
