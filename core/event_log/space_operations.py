"""Operations on a tenant's spaces: late vectors, a second space, its activation."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.errors import ConflictError, MalformedError
from core.event_log.operations import SettleView, TenantNow, operation, picture, refused
from core.records import Embedded, Job, Operation, State
from core.types import ActiveSpaces


def choose(view: SettleView, job: Job, made: Sequence[Embedded], now: TenantNow) -> Operation:
    """Settle a job that concerns no single picture."""
    match job.kind:
        case "embed":
            return _embed(view, job, made, now)
        case "add_space":
            return _add(view, job, now)
        case _:
            return _activate(view, job, now)


def _embed(view: SettleView, job: Job, made: Sequence[Embedded], now: TenantNow) -> Operation:
    """Record vectors that were written for settled pictures and are still valid.

    A vector of a caption that was edited meanwhile, of pixels that were decoded again, or of a
    deleted picture, is left out.
    """
    states: dict[str, State] = {}
    for one in made:
        state = states.get(one.image_id) or picture(view, one.image_id)
        if state is None or one.space_id in state.spaces:
            continue
        if state.source_of(one.space_id) != one.said:
            continue
        states[one.image_id] = replace(state, spaces=(*state.spaces, one.space_id))
    raised = tuple(
        replace(state, updated_at=now.at, revision=state.revision + 1) for state in states.values()
    )
    return operation(job, now, "embedded", states=raised)


def _add(view: SettleView, job: Job, now: TenantNow) -> Operation:
    """Add a second space beside the active one: every later upload has vectors in both."""
    if job.chosen is None or job.present is None:
        return refused(job, now, MalformedError("a space to add, and the present one, are missing"))
    space_id = job.chosen.space.space_id
    standing = view.standing(job.chosen.space.kind) or ActiveSpaces(active=job.present)
    if standing.active.space.space_id == space_id:
        return refused(job, now, ConflictError(f"{space_id} is the active space already"))
    others = tuple(one for one in standing.added if one.space.space_id != space_id)
    standing = replace(standing, added=(*others, job.chosen))
    return operation(job, now, "chosen", standing=standing)


def _activate(view: SettleView, job: Job, now: TenantNow) -> Operation:
    """Make the added space active, once no picture lacks a vector in it."""
    if job.chosen is None:
        return refused(job, now, MalformedError("a space to activate is missing"))
    space_id = job.chosen.space.space_id
    standing = view.standing(job.chosen.space.kind)
    if standing is not None and standing.active.space.space_id == space_id:
        return operation(job, now, "chosen", standing=standing)  # said again after it was cut off
    chosen = next(
        (one for one in (standing.added if standing else ()) if one.space.space_id == space_id),
        None,
    )
    if standing is None or chosen is None:
        return refused(job, now, ConflictError(f"{space_id} was not added: `seenit model add`"))
    lacking = view.lacking(space_id)
    if lacking:
        return refused(
            job,
            now,
            ConflictError(f"{lacking} pictures or more lack a vector in {space_id}: run backfill"),
        )
    others = tuple(one for one in standing.added if one.space.space_id != space_id)
    return operation(job, now, "chosen", standing=ActiveSpaces(active=chosen, added=others))
