"""Wire types of counts and health."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field


class Coverage(Struct, frozen=True, kw_only=True):
    """Counts of vectors in one space."""

    present: Annotated[int, Meta(description="Records with a vector.")] = field(name="with")
    missing: int
    represented_by_original: Annotated[
        int, Meta(description="Copies without a vector, represented by their original's.")
    ]


class Group(Struct, frozen=True, kw_only=True):
    """Counts over all records, or those of one category."""

    images: int
    verdicts: dict[str, int]
    decisions: dict[str, int]
    spaces: Annotated[dict[str, Coverage], Meta(description="By space id.")]


class Log(Struct, frozen=True, kw_only=True):
    """Distance of the index from the head of the log, in entries."""

    head: Annotated[int, Meta(description="Number of the last entry.")]
    watermark: Annotated[int, Meta(description="Number up to which the index holds all entries.")]
    lag: int


class Statistics(Struct, frozen=True, kw_only=True):
    """Counts as of the index's watermark."""

    total: Group
    categories: dict[str, Group]
    queue_depth: Annotated[int, Meta(description="Accepted jobs of this tenant not settled yet.")]
    log: Log


class Ready(Struct, frozen=True):
    """State of each part; `degraded` still takes uploads, and a setting turns a part `off`."""

    status: Literal["ready", "degraded"]
    parts: dict[str, Literal["ok", "down", "absent", "off"]]
    reasons: Annotated[dict[str, str], Meta(description="Why a part is down or absent.")]


class TenantState(Struct, frozen=True):
    """Waiting jobs of a tenant, and the fault of its log."""

    waiting: Annotated[int, Meta(description="Accepted jobs not settled yet.")]
    fault: Annotated[str | None, Meta(description="Why its log cannot be followed.")]


class Diagnosis(Struct, frozen=True, kw_only=True):
    """State of the whole service, for its operator."""

    parts: dict[str, Literal["ok", "down", "absent", "off"]]
    reasons: Annotated[
        dict[str, str], Meta(description="Why a part is down or absent, with paths.")
    ]
    tenants: Annotated[
        dict[str, TenantState],
        Meta(description="Tenants with waiting jobs or a fault, as far as this process knows."),
    ]


class Live(Struct, frozen=True):
    """Answer of a live process."""

    status: Literal["ok"] = "ok"
