"""Wire types of counts and health: how the service stands."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field


class Coverage(Struct, frozen=True, kw_only=True):
    """Vectors of one space."""

    present: Annotated[int, Meta(description="Records with a vector.")] = field(name="with")
    missing: int
    represented_by_original: Annotated[
        int, Meta(description="Copies, for which their original's vector stands.")
    ]


class Group(Struct, frozen=True, kw_only=True):
    """Counts over all records, or those of one category."""

    images: int
    verdicts: dict[str, int]
    decisions: dict[str, int]
    spaces: Annotated[dict[str, Coverage], Meta(description="By space id.")]


class Log(Struct, frozen=True, kw_only=True):
    """How far the index is behind the log."""

    head: Annotated[int, Meta(description="Number of the last entry.")]
    watermark: Annotated[int, Meta(description="Number up to which the index holds all.")]
    lag: int


class Statistics(Struct, frozen=True, kw_only=True):
    """Counts as of the watermark."""

    total: Group
    categories: dict[str, Group]
    queue_depth: Annotated[int, Meta(description="Accepted jobs of this tenant not settled yet.")]
    log: Log


class Ready(Struct, frozen=True):
    """What works; `degraded` still takes uploads, and a part that is `off` is so by a setting."""

    status: Literal["ready", "degraded"]
    parts: dict[str, Literal["ok", "down", "absent", "off"]]
    reasons: Annotated[dict[str, str], Meta(description="Why a part is down or absent.")]


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"
