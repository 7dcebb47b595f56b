"""The bank of blocked pictures: which deletes fill it, what it catches, and how it is emptied."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.event_log.tail import format_of
from core.records import LogPlace, Operation
from core.types import Erasure
from tests.simulation.case import ALL, Case, state
from tests.simulation.world import LATER, RULES, operation, upload


def deleted(one: Case, image_id: str, erasure: Erasure, job_id: str = "x") -> Operation:
    """Settle a delete to its end; return its last operation."""
    while not (done := one.settle(operation(job_id, "delete", image_id, erasure=erasure))).last:
        pass
    return done


def blocked(**pictures: str) -> Case:
    """Upload pictures that confirm each other, and block the first by a person."""
    one = Case(ALL, replace(RULES, copies=32))
    one.uploads(**pictures)
    one.decided(next(iter(pictures)), "block")
    return one


def test_a_writer_s_delete_leaves_digests_verdict_decision_and_place() -> None:
    """The rest goes, in one operation, and what names the picture stays as it is."""
    one = blocked(i0="a1", i1="b1", i2="c1")
    before = dict(one.world.states)
    done = deleted(one, "i0", "hide")
    (banked,) = done.states
    assert (done.kind, done.removed, format_of([done])) == ("hidden", (), 5)
    assert banked == replace(
        before["i0"],
        bank="BLOCKED",
        content="purged",
        decision=replace(before["i0"].decision, reason=None),
        updated_at=banked.updated_at,
        revision=before["i0"].revision + 1,
    )
    assert {n: s for n, s in one.world.states.items() if n != "i0"} == {
        n: s for n, s in before.items() if n != "i0"
    }
    assert one.world.gone("i0")


@pytest.mark.parametrize(
    ("picture", "kind", "value"),
    [("a1", "exact", "block"), ("a2", "near_duplicate", "block"), ("b1", "new", "block")],
    ids=["bytes", "pixels", "hash"],
)
def test_a_bank_catches_copies(picture: str, kind: str, value: str) -> None:
    """By bytes, by pixels, and by a hash that agrees although there are no pixels to compare."""
    one = blocked(i0="a1")
    deleted(one, "i0", "hide")
    one.uploads(i1=picture)
    assert one.told()["i1"] == (kind, "i0" if kind != "new" else None, value)
    own = state(one, "i1").verdict.matches[0].evidence.same_owner
    assert own is None, "the owner of what was deleted is unknown"


@pytest.mark.parametrize("kind", ["delete", "purge", "edit", "decide"])
def test_operations_find_a_bank_s_entry_deleted(kind: str) -> None:
    """They are refused as for any deleted picture, and change nothing."""
    one = blocked(i0="a1")
    deleted(one, "i0", "hide")
    before = state(one, "i0")
    for erasure in ("hide", "erase") if kind == "delete" else ("erase",):
        done = one.settle(operation(f"y{erasure}", kind, "i0", value="allow", erasure=erasure))  # type: ignore[arg-type]  # of the test
        assert done.problem is not None
        assert (done.kind, done.problem.status) == ("refused", 410)
    again = one.settle(upload("i0", "a1", "i0.1"))
    assert again.problem is not None
    assert again.problem.status == 410
    assert state(one, "i0") == before


def test_vectors_and_fingerprints_of_a_late_worker_are_left_out() -> None:
    """An `embed` or `refingerprint` that read the picture before its delete changes nothing."""
    one = blocked(i0="a1")
    deleted(one, "i0", "hide")
    for job in (
        operation("e", "embed", "i0"),
        replace(upload("i0", "a1", "r"), kind="refingerprint"),
    ):
        assert one.settle(job).states == ()


@pytest.mark.parametrize("erasure", ["hide", "erase"])
def test_only_a_person_s_block_is_kept(erasure: Erasure) -> None:
    """A person's review, the policy's block of a copy, and any block that an admin deletes go."""
    one = blocked(i0="a1", i1="b1", i2="d1")
    one.decided("i2", "review", "d2")
    for image_id in ("i1", "i2", *(("i0",) if erasure == "erase" else ())):
        done = deleted(one, image_id, erasure, f"x{image_id}")
        assert (done.kind, done.removed) == ("deleted", (image_id,))


def test_a_hold_keeps_a_blocked_picture_from_being_hidden() -> None:
    """The delete is refused as any other; an older hold that has ended is not kept."""
    one = blocked(i0="a1")
    one.settle(operation("h", "edit", "i0", hold_until=LATER))
    assert deleted(one, "i0", "hide").kind == "refused"
    one.settle(operation("h2", "edit", "i0", hold_until=None))
    assert deleted(one, "i0", "hide", "y").kind == "hidden"


def test_a_delete_that_has_begun_is_not_stopped_by_a_writer_s() -> None:
    """The closed picture goes with either job, as with two deletes of an admin."""
    one = blocked(i0="a1", i1="b1", i2="c1")
    one.rules = RULES
    assert one.settle(operation("x", "delete", "i0")).kind == "closed"
    assert one.settle(operation("w", "delete", "i0", erasure="hide")).kind == "resettled"
    assert deleted(one, "i0", "erase").kind == "deleted"
    done = one.settle(operation("w", "delete", "i0", erasure="hide"))
    assert done.problem is not None
    assert done.problem.status == 410


def test_a_decision_on_a_picture_whose_delete_has_begun_is_refused() -> None:
    """Accepted, it would be erased with the picture, and the block with it."""
    one = Case(ALL)
    one.uploads(i0="a1", i1="b1", i2="c1")
    one.rules = RULES
    assert one.settle(operation("w", "delete", "i0", erasure="hide")).kind == "closed"
    refused = one.decided("i0", "block")
    assert refused.kind == "refused"
    assert refused.problem is not None
    assert (refused.problem.status, refused.last) == (409, True)
    assert deleted(one, "i0", "hide", "w").kind == "deleted"


def test_a_block_reaches_all_copies_though_the_picture_is_hidden_meanwhile() -> None:
    """The decision goes on in its steps from the entry of the bank."""
    one = Case(ALL)
    one.uploads(i0="a1", i1="b1", i2="c1")
    first = one.decided("i0", "block")
    assert not first.last
    assert deleted(one, "i0", "hide").kind == "hidden"
    while not one.decided("i0", "block").last:
        pass
    assert {value for _, _, value in one.told().values()} == {"block"}
    assert state(one, "i0").bank == "BLOCKED"
    assert state(one, "i0").spreading == ()


def test_what_is_forgotten_catches_nothing_and_its_copies_keep_their_block() -> None:
    """The copies, known before or since, are evaluated again, in steps if there are many."""
    one = blocked(i0="a1", i1="b1")
    deleted(one, "i0", "hide")
    one.uploads(i2="a1", i3="a2")
    one.rules = RULES
    done = deleted(one, "i0", "forget", "f")
    assert (done.kind, done.removed) == ("deleted", ("i0",))
    told = one.told()
    assert [told[n][2] for n in ("i1", "i2", "i3")] == ["block"] * 3
    assert "i0" not in {original for _, original, _ in told.values()}
    assert deleted(one, "i0", "forget", "g").kind == "refused"
    one.uploads(i4="d1")
    assert one.told()["i4"] == ("new", None, "allow")


def test_forget_on_a_picture_is_an_admin_s_delete() -> None:
    """It needs no earlier delete of a writer."""
    one = blocked(i0="a1")
    assert deleted(one, "i0", "forget").removed == ("i0",)


def test_a_copy_in_the_bank_blocks_its_bytes_after_its_original_is_gone() -> None:
    """A person's block on a copy alone; the original is allowed, and deleted later, in steps."""
    one = Case(ALL)
    one.uploads(i0="a1", i1="b1", i2="c1")
    one.decided("i1", "block")
    assert deleted(one, "i1", "hide", "w").kind == "hidden"
    one.uploads(i3="b1", i4="a1")
    assert [one.told()[n][2] for n in ("i3", "i4")] == ["block", "allow"]
    assert one.settle(operation("x", "delete", "i0")).kind == "closed"
    one.uploads(i5="b1")
    assert one.told()["i5"][2] == "block", "the original takes no copies, the bank does"
    deleted(one, "i0", "erase")
    one.uploads(i6="b1")
    assert one.told()["i6"][2] == "block"
    banked = state(one, "i1")
    assert (banked.bank, banked.decision.by, banked.content) == ("BLOCKED", "person", "purged")
    assert banked.anchor is None or isinstance(banked.anchor, LogPlace)
