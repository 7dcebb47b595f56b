"""Deletes, purges and holds: what each removes and keeps, and operations that are refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.event_log.decide import decide, outcomes, tombstones
from core.event_log.operations import TenantNow
from core.records import Ended, LogPlace, Operation
from tests.simulation.case import ALL, Case, state
from tests.simulation.world import AT, EARLIER, LATER, RULES, claim, operation, upload

# --- deletes ------------------------------------------------------------------------------------


def test_copies_of_a_deleted_original_are_settled_anew() -> None:
    """The first, in order, becomes the original of the rest, and each verdict's revision rises."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1", i3="c1")
    done = case.settle(operation("o", "delete", "i1"))
    assert (done.kind, done.removed) == ("deleted", ("i1",))
    assert case.told() == {
        "i2": ("new", None, "allow"),
        "i3": ("near_duplicate", "i2", "allow"),
    }
    assert [(one.anchor, one.verdict.revision, one.revision) for one in done.states] == [
        (LogPlace(4, 0), 2, 2),
        (None, 2, 2),
    ]


def test_a_copy_keeps_the_stricter_decision_when_its_original_goes() -> None:
    """Deleting a blocked picture does not allow the copy that repeated it."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1")
    case.decided("i1", "block")
    case.settle(operation("o", "delete", "i1"))
    assert case.told() == {"i2": ("new", None, "block")}


def test_a_persons_word_outlives_the_original() -> None:
    """A settle never overwrites it."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1")
    case.decided("i2", "allow", "d1")
    case.decided("i1", "block", "d2")
    case.settle(operation("o", "delete", "i1"))
    assert case.told() == {"i2": ("new", None, "allow")}
    assert state(case, "i2").decision.by == "person"


def test_a_large_star_is_closed_first_and_goes_last() -> None:
    """It is closed, its copies are settled in steps, then it goes; it takes no new copies."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="b1", i3="c1", i4="c2")
    job = operation("o", "delete", "i1")
    first = case.settle(job)
    assert (first.kind, first.last, state(case, "i1").closed) == ("closed", False, True)
    case.uploads(i5="a1")
    steps = [case.settle(job), case.settle(job), case.settle(job)]
    assert [(one.kind, one.last) for one in steps] == [
        ("resettled", False),
        ("resettled", False),
        ("deleted", True),
    ]
    assert case.told() == {
        "i5": ("new", None, "allow"),
        "i2": ("near_duplicate", "i5", "allow"),
        "i3": ("near_duplicate", "i5", "allow"),
        "i4": ("near_duplicate", "i5", "allow"),
    }


def test_a_delete_that_has_begun_goes_through() -> None:
    """If-Match is checked once; an edit in between does not stop it half-way."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="b1", i3="c1")
    job = operation("o", "delete", "i1", if_match=1)
    case.settle(job)
    case.settle(operation("e", "edit", "i1"))
    assert [case.settle(job).kind for _ in range(2)] == ["resettled", "deleted"]


def test_the_delete_of_something_unsettled_ends_its_upload() -> None:
    """Settled at once as deleted, for the upload too."""
    case = Case()
    job = upload("i1", "a1")
    case.world.jobs["i1"] = job
    done = case.settle(operation("o", "delete", "i1"))
    assert (done.kind, done.removed, done.also) == (
        "deleted",
        ("i1",),
        (Ended("i1", job.accepted_at),),
    )
    ended = {one.job_id: one.problem and one.problem.status for one in outcomes(done, 1)}
    assert ended == {"o": None, "i1": 410}
    assert [one.image_id for one in tombstones(done, 1)] == ["i1"]


def test_the_delete_of_a_failed_upload_leaves_a_tombstone() -> None:
    """Its job has ended before; a retry that comes later is refused."""
    case = Case()
    case.settle(upload("i1", "!"))
    done = case.settle(operation("o", "delete", "i1"))
    assert (done.kind, done.removed, done.also) == ("deleted", ("i1",), ())
    late = case.settle(upload("i1", "a1", "i1.1"))
    assert (late.kind, late.problem and late.problem.status) == ("refused", 410)


def test_a_copy_without_pixels_is_settled_anew_by_what_is_kept() -> None:
    """A purged copy is confirmed by nothing but its bytes."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1", i3="c1")
    case.settle(operation("p", "purge", "i3"))
    case.settle(operation("o", "delete", "i1"))
    assert case.told() == {"i2": ("new", None, "allow"), "i3": ("new", None, "allow")}


# --- purges and edits ---------------------------------------------------------------------------


def test_a_purged_picture_is_still_recognised() -> None:
    """The same bytes are certain, others an unconfirmed match that a person must review."""
    case = Case(ALL)
    case.uploads(i1="a1")
    purged = case.settle(operation("p", "purge", "i1"))
    assert (purged.kind, state(case, "i1").content) == ("purged", "purged")
    assert state(case, "i1").anchor == LogPlace(1, 0)
    case.uploads(i2="a1", i3="b1", i4="d1")
    assert case.told()["i2"] == ("exact", "i1", "allow")
    assert case.told()["i3"] == ("new", None, "review")
    match = state(case, "i3").verdict.matches[0]
    assert (match.image_id, match.confirmed, match.evidence.words) == (
        "i1",
        False,
        "there are no pixels left to lay it over",
    )


@pytest.mark.parametrize(("letter", "value"), [("b", "block"), ("c", "review")])
def test_what_agrees_with_a_blocked_purged_picture_is_blocked(letter: str, value: str) -> None:
    """Its hash or features must agree; else a person looks at it."""
    case = Case()
    case.uploads(i1="a1")
    case.decided("i1", "block")
    case.settle(operation("p", "purge", "i1"))
    case.uploads(i2=f"{letter}1")
    assert case.told()["i2"] == ("new", None, value)


def test_a_purge_twice_is_one() -> None:
    """The second changes nothing."""
    case = Case()
    case.uploads(i1="a1")
    case.settle(operation("p1", "purge", "i1"))
    again = case.settle(operation("p2", "purge", "i1"))
    assert (again.kind, again.states, state(case, "i1").revision) == ("purged", (), 2)


def test_an_edit_names_the_new_fields() -> None:
    """It raises the revision."""
    case = Case()
    case.uploads(i1="a1")
    case.settle(operation("e", "edit", "i1"))
    assert (state(case, "i1").fields, state(case, "i1").revision) == ("e", 2)


# --- holds --------------------------------------------------------------------------------------


def hold(case: Case, until: str | None, job_id: str = "h") -> Operation:
    """Say how long it is to be kept, and nothing else."""
    job = operation(job_id, "edit", "i1", hold_until=until)
    return case.settle(replace(job, fields=None))


@pytest.mark.parametrize("kind", ["delete", "purge"])
def test_what_is_held_is_neither_deleted_nor_purged(kind: str) -> None:
    """409 naming the time, until it has passed or the hold is lifted."""
    case = Case()
    case.uploads(i1="a1")
    hold(case, LATER, "h1")
    done = case.settle(operation("o1", kind, "i1"))
    assert (done.kind, done.states, done.removed) == ("refused", (), ())
    assert done.problem is not None
    assert (done.problem.status, done.problem.detail) == (409, f"picture i1 is held until {LATER}")
    for n, over in enumerate((EARLIER, AT, None)):
        case = Case()
        case.uploads(i1="a1")
        hold(case, LATER, "h1")
        hold(case, over, "h2")
        assert case.settle(operation(f"o{n}", kind, "i1")).kind == f"{kind.rstrip('e')}ed"


def test_the_time_that_counts_is_that_of_the_entry() -> None:
    """The same two operations in either order: the log alone decides."""
    job = operation("o", "delete", "i1")
    for at, kind in ((EARLIER, "refused"), (AT, "deleted"), (LATER, "deleted")):
        case = Case()
        case.uploads(i1="a1")
        hold(case, AT)
        assert decide(case.world, claim(job), TenantNow(9, 0, at), RULES).kind == kind
    late = Case()
    late.uploads(i1="a1")
    late.settle(job)
    told = hold(late, LATER)
    assert (told.kind, told.problem and told.problem.status) == ("refused", 410)


def test_a_hold_alone_changes_nothing_else() -> None:
    """Fields and spaces stay, and an edit of the fields leaves the hold."""
    case = Case()
    case.settle(upload("i1", "a1"), spaces=("visual-1", "caption-1"))
    case.settle(operation("e1", "edit", "i1"), spaces=("caption-1",))
    before = state(case, "i1")
    hold(case, LATER)
    assert state(case, "i1") == replace(before, hold_until=LATER, revision=3)
    case.settle(operation("e2", "edit", "i1"))
    assert (state(case, "i1").fields, state(case, "i1").hold_until) == ("e2", LATER)


def test_another_revision_is_said_before_the_hold() -> None:
    """412 is about the call, 409 about the record."""
    case = Case()
    case.uploads(i1="a1")
    hold(case, LATER)
    done = case.settle(operation("o", "delete", "i1", if_match=1))
    assert done.problem is not None
    assert done.problem.status == 412


def test_a_held_copy_outlives_its_original() -> None:
    """It is settled again and stays held."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i2="a1", i1="b1")
    hold(case, LATER)
    case.settle(operation("o", "delete", "i2"))
    assert case.told() == {"i1": ("new", None, "allow")}
    assert state(case, "i1").hold_until == LATER


def test_what_is_being_deleted_cannot_be_held() -> None:
    """A large star that was closed goes: a hold that could not keep it is refused."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="b1", i3="c1")
    job = operation("o", "delete", "i1")
    case.settle(job)
    refused = hold(case, LATER)
    assert (refused.kind, refused.problem and refused.problem.status) == ("refused", 409)
    assert hold(case, None, "h2").kind == "edited"
    assert [case.settle(job).kind for _ in range(2)] == ["resettled", "deleted"]


# --- operations that are refused ----------------------------------------------------------------

OPERATIONS: Sequence[str] = ("delete", "decide", "purge", "edit")


@pytest.mark.parametrize("kind", OPERATIONS)
def test_another_revision_is_refused(kind: str) -> None:
    """412 in the operation, and nothing changes."""
    case = Case()
    case.uploads(i1="a1")
    before = dict(case.world.states)
    done = case.settle(operation("o", kind, "i1", value="block", if_match=7))
    assert (done.kind, done.problem and done.problem.status) == ("refused", 412)
    assert case.world.states == before
    right = case.settle(operation("o2", kind, "i1", value="block", if_match=1))
    assert right.kind != "refused"


@pytest.mark.parametrize("kind", OPERATIONS)
def test_operations_on_nothing_are_refused(kind: str) -> None:
    """404 for what never was, 410 for what was deleted."""
    case = Case()
    case.uploads(i1="a1")
    case.settle(operation("o", "delete", "i1"))
    statuses = []
    for n, image_id in enumerate(("nobody", "i1")):
        done = case.settle(operation(f"o{n}", kind, image_id, value="allow"))
        statuses.append((done.kind, done.problem and done.problem.status))
    assert statuses == [("refused", 404), ("refused", 410)]
