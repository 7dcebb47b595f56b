"""What every step of settling needs: the view, the moment, and how an operation is written."""

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
from core.matching.verdict import SeesPictures
from core.records import Ended, Job, Operation, OperationKind, Problem, State, Tombstone
from core.types import ActiveSpaces, Query, SpaceKind


class SettleView(SeesPictures, Protocol):
    """The live records of one tenant at one moment, the operations before this one included."""

    def gone(self, image_id: str) -> bool:
        """Whether it was deleted."""

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """An upload's own job and whether it has ended; None where there never was one."""

    def copies(self, image_id: str) -> Sequence[State]:
        """Live records whose original it is, itself left out."""

    def query(self, image_id: str) -> Query:
        """A stored picture as it asks for candidates."""

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """Which spaces of a kind there are, None where the log does not say yet."""

    def lacking(self, space_id: str) -> int:
        """Live records that should have a vector in this space and have none; at least so many."""

    def fork(self) -> SettleView:
        """The same view, to be written upon."""

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """Lay these over the view."""


class TenantNow(Struct, frozen=True):
    """Where in the log, and when, an operation is to stand."""

    seq: int
    n: int
    """States that the entry holds before it."""
    at: str


def stale(state: State, job: Job, now: TenantNow) -> Operation | None:
    """If-Match names another revision; a delete that has begun goes through."""
    if job.if_match is None or job.if_match == state.revision or state.closed:
        return None
    return refused(
        job,
        now,
        PreconditionError(f"picture {job.image_id} is at revision {state.revision} by now"),
    )


def held(state: State, job: Job, now: TenantNow) -> Operation | None:
    """It must be kept by the time of this entry."""
    if not state.held(now.at):
        return None
    return refused(
        job, now, ConflictError(f"picture {job.image_id} is held until {state.hold_until}")
    )


def absent(view: SettleView, job: Job, now: TenantNow) -> Operation:
    """An operation on a picture that was deleted, or never there."""
    if view.gone(job.image_id):
        return refused(job, now, GoneError(f"picture {job.image_id} was deleted"))
    return refused(job, now, MissingError(f"there is no picture {job.image_id}"))


def refused(job: Job, now: TenantNow, error: SeenitError) -> Operation:
    """A job that ends without any change."""
    return operation(job, now, "refused", problem=problem_of(error))


def problem_of(error: SeenitError) -> Problem:
    """An error as it is written down."""
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
    """What became of a job."""
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
