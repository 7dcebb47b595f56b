"""Administrative tasks as answers show them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class AdminTaskView(Struct, frozen=True, kw_only=True):
    """How far an administrative task has come, and what came of it."""

    task_id: str
    status: Literal["queued", "running", "done", "failed"]
    done: Annotated[int, Meta(description="Log entries, pictures or questions worked off.")]
    total: Annotated[int, Meta(description="All of them; 0 until it is known.")]
    result: Annotated[dict[str, Any], Meta(description="Empty until the task is done.")]
    error: Annotated[str | None, Meta(description="Why it failed.")] = None
