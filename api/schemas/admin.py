"""Wire types of administrative tasks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class AdminTaskView(Struct, frozen=True, kw_only=True):
    """Progress of an administrative task, and its result or error."""

    task_id: str
    status: Literal["queued", "running", "done", "failed"]
    done: Annotated[int, Meta(description="Log entries, pictures or queries processed.")]
    total: Annotated[int, Meta(description="Number to process; 0 until it is known.")]
    result: Annotated[dict[str, Any], Meta(description="Empty until the task is done.")]
    error: Annotated[str | None, Meta(description="Why it failed.")] = None
