"""Operation on fingerprints that were computed again from the stored bytes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.event_log.operations import SettleView, TenantNow, operation
from core.keys import is_caption
from core.records import Job, Operation, Refingerprinted, State
from core.types import Remade


def refingerprint(
    view: SettleView, job: Job, made: Sequence[Refingerprinted], now: TenantNow
) -> Operation:
    """Let records name the fingerprints that the job wrote; verdicts and decisions stay.

    A picture that was deleted, purged or fingerprinted by another job meanwhile is left out.
    """
    states: list[State] = []
    for one in made:
        state = view.state(one.image_id)
        if state is None or state.content == "purged" or state.remade != one.before:
            continue
        pixels_op = state.remade.pixels if state.remade is not None else None
        spaces = state.spaces
        if one.spaces is not None:
            pixels_op = job.job_id
            spaces = (*one.spaces, *filter(is_caption, state.spaces))
        states.append(
            replace(
                state,
                pixels=one.pixels,
                spaces=spaces,
                remade=Remade(job.job_id, pixels_op),
                updated_at=now.at,
                revision=state.revision + 1,
            )
        )
    return operation(job, now, "refingerprinted", states=tuple(states))
