"""Common parts of the settling steps: the view, the place in the log, making an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from core.errors import (
    ConflictError,
    GoneError,
    MissingError,
    PreconditionError,
    SeenitError,
)
from core.matching.subject import SeesPictures
from core.records import Ended, Job, Operation, OperationKind, Problem, State, Tombstone
from core.types import ActiveSpaces, Query, SpaceKind


class SettleView(SeesPictures, Protocol):
    """The live records of one tenant at one moment, the operations before this one included."""

    def gone(self, image_id: str) -> bool:
        """Return whether the picture was deleted."""

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """Return an upload's own job and whether it has ended; None if there never was one."""

    def naming(self, image_id: str) -> Sequence[State]:
        """Return the live records that name it among their confirmed matches."""

    def query(self, image_id: str) -> Query:
        """Return the query of a stored picture."""

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """Return the spaces of a kind, None if the log does not name any yet."""

    def lacking(self, space_id: str) -> int:
        """Count live records that lack a vector in this space; at least so many."""

    def fork(self) -> SettleView:
        """Return a copy of the view for writing."""

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """Overlay these on the view."""


class TenantNow(Struct, frozen=True):
    """Place in the log and time of an operation."""

    seq: int
    n: int
    """Number of states in the entry before it."""
    at: str


def picture(view: SettleView, image_id: str) -> State | None:
    """Return the state of a picture; None for a deleted one, also if a bank has an entry of it."""
    state = view.state(image_id)
    return None if state is None or state.bank is not None else state


def stale(state: State, job: Job, now: TenantNow) -> Operation | None:
    """Refuse a job whose If-Match names another revision; a begun delete continues."""
    if job.if_match is None or job.if_match == state.revision or state.closed:
        return None
    return refused(
        job,
        now,
        PreconditionError(f"picture {job.image_id} is at revision {state.revision} by now"),
    )


def held(state: State, job: Job, now: TenantNow) -> Operation | None:
    """Refuse to remove a record that is on hold at the time of this entry."""
    if not state.held(now.at):
        return None
    return refused(
        job, now, ConflictError(f"picture {job.image_id} is held until {state.hold_until}")
    )


def absent(view: SettleView, job: Job, now: TenantNow) -> Operation:
    """Refuse an operation on a picture that was deleted, or never there."""
    if view.gone(job.image_id):
        return refused(job, now, GoneError(f"picture {job.image_id} was deleted"))
    return refused(job, now, MissingError(f"there is no picture {job.image_id}"))


def refused(job: Job, now: TenantNow, error: SeenitError) -> Operation:
    """End a job without any change."""
    return operation(job, now, "refused", problem=problem_of(error))


def problem_of(error: SeenitError) -> Problem:
    """Convert an error to the form that is stored."""
    return Problem(type=error.type, title=error.title, status=error.status, detail=error.detail)


def operation(
    job: Job,
    now: TenantNow,
    kind: OperationKind,
    *,
    states: tuple[State, ...] = (),
    removed: tuple[str, ...] = (),
    problem: Problem | None = None,
    also: tuple[Ended, ...] = (),
    last: bool = True,
    standing: ActiveSpaces | None = None,
) -> Operation:
    """Make the operation that ends a job."""
    return Operation(
        job=job.job_id,
        kind=kind,
        job_kind=job.kind,
        image_id=job.image_id,
        accepted_at=job.accepted_at,
        finished_at=now.at,
        states=states,
        removed=removed,
        problem=problem,
        also=also,
        last=last,
        standing=standing,
    )
