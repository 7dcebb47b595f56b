"""Pictures that several anchors confirm: the strictest decides, and each of them reaches it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.records import Operation, State, Tombstone
from tests.simulation.case import Case, state
from tests.simulation.world import RULES, Relation, operation

BANNED = "bcdefghijklmnopqrstu"
COLLAGES = BANNED.upper()
"""A collage has the letter of the banned photo in it, and contains `a` as well."""
PARTS = frozenset(
    frozenset(pair) for one in BANNED for pair in (one + one.upper(), "a" + one.upper())
)


def case(*, copies: int = 32, matches: int = 20, changed: str = "") -> Case:
    """Return a world of collages; `changed` is a pair that differs in a region."""
    relation = Relation(PARTS, frozenset({frozenset(changed)}) if changed else frozenset())
    return Case(relation, replace(RULES, copies=copies, matches=matches))


def values(one: Case) -> dict[str, str]:
    """Return the decision on every record."""
    return {image_id: value for image_id, (_, _, value) in one.told().items()}


def steps(one: Case, job_id: str, kind: str, image_id: str, **more: str) -> list[Operation]:
    """Settle an operation to its end."""
    done = [one.settle(operation(job_id, kind, image_id, **more))]  # type: ignore[arg-type]  # of the test
    while not done[-1].last:
        done.append(one.settle(operation(job_id, kind, image_id, **more)))  # type: ignore[arg-type]  # likewise
    return done


def named(found: State) -> list[str]:
    """Return all confirmed matches of a record, its original first."""
    return list(found.confirmed)


def test_twenty_banned_photos_are_blocked_in_collages_with_an_older_allowed_one() -> None:
    """Uploaded after the ban or before it; the original stays the oldest."""
    one = case()
    one.uploads(old="a1")
    one.uploads(**{f"ban{letter}": f"{letter}1" for letter in BANNED})
    one.uploads(**{f"before{letter}": f"{letter.upper()}1" for letter in BANNED})
    assert set(values(one).values()) == {"allow"}
    for letter in BANNED:
        one.decided(f"ban{letter}", "block", f"d{letter}")
    one.uploads(**{f"after{letter}": f"{letter.upper()}2" for letter in BANNED})
    collages = {
        image_id: told
        for image_id, told in one.told().items()
        if image_id.startswith(("before", "after"))
    }
    assert set(collages.values()) == {("near_duplicate", "old", "block")}
    assert len(collages) == 40
    assert values(one)["old"] == "allow"
    for letter in BANNED:
        one.decided(f"ban{letter}", "allow", f"e{letter}")
    assert set(values(one).values()) == {"allow"}


@pytest.mark.parametrize("matches", [1, 20])
def test_a_lifted_block_leaves_the_block_of_another(matches: int) -> None:
    """The record is decided again over all of its confirmed matches, also unlisted ones."""
    one = case(matches=matches, changed="bB")
    one.uploads(i1="a1", i2="b1", i3="B1")
    assert (len(state(one, "i3").verdict.matches), named(state(one, "i3"))) == (
        min(2, matches),
        ["i1", "i2"],
    )
    seen = [values(one)["i3"]]
    for n, (image_id, value) in enumerate(
        [("i1", "block"), ("i2", "block"), ("i1", "allow"), ("i2", "review"), ("i2", "allow")]
    ):
        one.decided(image_id, value, f"d{n}")
        seen.append(values(one)["i3"])
    # words over an allowed part ask for a review all the time
    assert seen == ["review", "block", "block", "block", "review", "review"]


def test_a_persons_own_decision_on_a_collage_stays() -> None:
    """Whatever happens to the pictures in it."""
    one = case()
    one.uploads(i1="a1", i2="b1", i3="B1")
    one.decided("i3", "allow", "d1")
    one.decided("i2", "block", "d2")
    one.settle(operation("o1", "delete", "i2"))
    assert (values(one)["i3"], state(one, "i3").decision.by) == ("allow", "person")
    assert named(state(one, "i3")) == ["i1"]


def test_a_decision_on_a_collage_concerns_it_alone() -> None:
    """It is a copy, so none of its parts change."""
    one = case()
    one.uploads(i1="a1", i2="b1", i3="B1", i4="B2")
    one.decided("i3", "block")
    assert values(one) == {"i1": "allow", "i2": "allow", "i3": "block", "i4": "allow"}


@pytest.mark.parametrize("matches", [1, 20])
def test_the_same_file_as_a_collage_contains_the_same(matches: int) -> None:
    """Also the same pixels: a later decision on any part reaches them."""
    one = case(matches=matches)
    one.uploads(i1="a1", i2="b1", i3="B1", i4="B1", i5="B1")
    assert [named(state(one, each)) for each in ("i3", "i4", "i5")] == [["i1", "i2"]] * 3
    if matches > 1:
        kinds = [(each.kind, each.evidence.signals) for each in state(one, "i4").verdict.matches]
        assert kinds == [("exact", ("sha256", "alignment"))] * 2
    one.decided("i2", "block")
    assert [values(one)[each] for each in ("i1", "i3", "i4", "i5")] == ["allow", *["block"] * 3]


@pytest.mark.parametrize("matches", [1, 20])
def test_a_part_that_goes_is_dropped_and_its_block_stays(matches: int) -> None:
    """The collage keeps its original and the stricter decision; its verdict's revision rises."""
    one = case(matches=matches)
    one.uploads(i1="a1", i2="b1", i3="B1")
    one.decided("i2", "block")
    done = one.settle(operation("o", "delete", "i2"))
    found = state(one, "i3")
    assert (done.kind, [each.image_id for each in done.states]) == ("deleted", ["i3"])
    assert (found.original, named(found), found.decision.value) == ("i1", ["i1"], "block")
    assert (found.verdict.revision, found.revision) == (2, 3)
    one.decided("i1", "allow", "d2")
    assert values(one)["i3"] == "allow"


def test_a_collage_whose_original_goes_is_decided_anew() -> None:
    """Its other part becomes the original."""
    one = case()
    one.uploads(i1="a1", i2="b1", i3="B1")
    one.settle(operation("o", "delete", "i1"))
    assert one.told()["i3"] == ("near_duplicate", "i2", "allow")
    assert named(state(one, "i3")) == ["i2"]


def test_decisions_and_deletes_reach_many_collages_in_steps() -> None:
    """Two an operation, each record once; the picture goes last."""
    one = case(copies=2)
    one.uploads(i0="a1", i1="b1", **{f"i{n}": "B1" for n in range(2, 7)}, i7="b1")
    done = steps(one, "d", "decide", "i1", value="block")
    assert _reached(done, "i1") == [["i2", "i3"], ["i4", "i5"], ["i6", "i7"]]
    assert set(values(one).values()) == {"allow", "block"}
    assert state(one, "i1").spreading == ()
    done = steps(one, "o", "delete", "i1")
    assert [each.kind for each in done] == ["closed", "resettled", "resettled", "deleted"]
    assert _reached(done, "i1") == [[], ["i2", "i3"], ["i4", "i5"], ["i6", "i7"]]
    assert {each: named(state(one, each)) for each in ("i2", "i6", "i7")} == {
        "i2": ["i0"],
        "i6": ["i0"],
        "i7": [],
    }
    assert state(one, "i7").anchor is not None


def test_a_collage_that_comes_while_a_part_goes_does_not_name_it() -> None:
    """The same file as one that still names the closed picture."""
    one = case(copies=1)
    one.uploads(i0="a1", i1="b1", i2="B1", i3="B1")
    job = operation("o", "delete", "i1")
    assert one.settle(job).kind == "closed"
    one.uploads(i4="B1", i5="B2")
    assert [named(state(one, each)) for each in ("i3", "i4", "i5")] == [
        ["i0", "i1"],
        ["i0"],
        ["i0"],
    ]
    assert [one.settle(job).kind for _ in range(2)] == ["resettled", "deleted"]
    assert all(named(each) in ([], ["i0"]) for each in one.world.states.values())


def test_a_match_that_an_older_seenit_left_behind_counts_as_not_there() -> None:
    """It deleted a part without dropping it: decisions and equal files pass over it."""
    one = case()
    one.uploads(i1="a1", i2="b1", i3="B1")
    one.decided("i2", "block")
    one.world.put((), [Tombstone("i2", 9, "")])
    one.decided("i1", "review", "d2")
    one.uploads(i4="B1")
    assert [values(one)[each] for each in ("i3", "i4")] == ["review", "review"]
    assert named(state(one, "i4")) == ["i1"]


def _reached(done: Sequence[Operation], image_id: str) -> list[list[str]]:
    return [[each.image_id for each in one.states if each.image_id != image_id] for one in done]
