"""The decision on one job among the live records: the serial specification, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.evidence import Comparison, Evidence
from core.matching.decisions import Decisions
from core.records import LogPlace
from core.types import Absent, Candidates, Hit, Match, Query
from tests.simulation.case import ALL, CAPTION, CHAIN, Case, state
from tests.simulation.world import BROKEN, RULES, Relation, World, operation, upload

# --- verdicts -----------------------------------------------------------------------------------


def test_the_first_is_new_and_an_anchor() -> None:
    """Nothing is stored yet: new, allowed, a candidate for what follows."""
    case = Case()
    case.uploads(i1="a1")
    assert case.told() == {"i1": ("new", None, "allow")}
    assert state(case, "i1").anchor == LogPlace(1, 0)


def test_the_same_bytes_are_exact_and_the_same_pixels_near() -> None:
    """Both point at the original, with the signal that confirmed it."""
    case = Case()
    case.uploads(i1="a1", i2="a1", i3="a2")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("exact", "i1", "allow"),
        "i3": ("near_duplicate", "i1", "allow"),
    }
    proofs = [state(case, one).verdict.matches for one in ("i2", "i3")]
    assert [(p[0].confirmed, p[0].evidence.signals) for p in proofs] == [
        (True, ("sha256",)),
        (True, ("pixels",)),
    ]
    assert state(case, "i2").anchor is None


def test_the_original_is_the_confirming_anchor_that_came_first() -> None:
    """If two anchors confirm a picture, the one of the lower place in the log is its original."""
    case = Case(CHAIN)
    case.uploads(i2="c1", i1="a1", i3="b1")
    assert case.told()["i3"] == ("near_duplicate", "i2", "allow")
    assert [one.image_id for one in state(case, "i3").verdict.matches] == ["i2", "i1"]


def test_a_copy_is_no_candidate() -> None:
    """Confirmation is not transitive: what only a copy confirms is an original itself."""
    case = Case(CHAIN)
    case.uploads(i1="a1", i2="b1", i3="c1")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("near_duplicate", "i1", "allow"),
        "i3": ("new", None, "allow"),
    }


def test_an_unconfirmed_neighbour_is_listed_without_being_a_duplicate() -> None:
    """A moderator wants to know."""
    case = Case()
    case.uploads(i1="a1", i2="b1")
    listed = [
        Match(
            image_id="i1",
            kind="similar",
            confirmed=False,
            evidence=Evidence(signals=("alignment",)),
        )
    ]
    assert (state(case, "i2").verdict.kind, list(state(case, "i2").verdict.matches)) == (
        "new",
        listed,
    )


def test_flat_pictures_match_by_bytes_alone() -> None:
    """The hash has nothing to hold on to: not comparable, no candidate, equal pixels prove nothing.

    Every white drawing on a transparent ground has the pixels of a blank sheet.
    """
    case = Case(Relation(frozenset({frozenset("_a")})))
    case.uploads(i1="_1", i2="a1", i3="_1", i4="_2")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("new", None, "allow"),
        "i3": ("exact", "i1", "allow"),
        "i4": ("new", None, "allow"),
    }
    assert [state(case, one).verdict.comparable for one in ("i1", "i2")] == [False, True]
    assert state(case, "i2").verdict.matches == ()


class Alike(World):
    """A world in which every candidate looks alike, and nothing is worth aligning."""

    def near(self, query: Query) -> Candidates:
        """Return the letters' distance as a similarity."""
        return Candidates(
            tuple(
                Hit(image_id=hit.image_id, similarity=1 - (hit.hamming or 0) / 10)
                for hit in super().near(query).hits
            )
        )

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Fail, as no candidate may be compared here."""
        raise AssertionError((query, hits))


def test_similar_is_what_looks_alike_without_being_confirmed() -> None:
    """At or above the threshold of the space, the best first; a similar picture is no copy."""
    rules = replace(
        RULES,
        worth=lambda hits, _: {hit.image_id for hit in hits if hit.hamming is not None},
        similar_at=lambda _: 0.8,
        decisions=Decisions(similar="review"),
    )
    case = Case(rules=rules)
    case.world = Alike(Relation(), [])
    case.uploads(i1="a1", i2="d1", i3="c1")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("new", None, "allow"),
        "i3": ("similar", None, "review"),
    }
    listed = state(case, "i3").verdict.matches
    assert [(one.image_id, one.evidence.similarity) for one in listed] == [("i2", 0.9), ("i1", 0.8)]
    assert state(case, "i3").anchor == LogPlace(3, 0)


def test_a_verdict_lists_no_more_than_the_policy_says() -> None:
    """Twenty by default, the confirmed ones first."""
    case = Case(CHAIN, replace(RULES, matches=2))
    case.uploads(i1="d1", i2="e1", i3="c1", i4="b1")
    assert [(one.image_id, one.confirmed) for one in state(case, "i4").verdict.matches] == [
        ("i3", True),
        ("i1", False),
    ]


def test_what_could_not_take_part_is_said() -> None:
    """A verdict reached without a model names what is missing."""
    case = Case()
    missing = (Absent("visual", "no model"),)
    case.settle(upload("i1", "a1"), missing=missing)
    assert state(case, "i1").verdict.missing == missing


def test_a_failed_upload_leaves_no_record() -> None:
    """Its job has the reason; a retry is a job of its own and may still succeed."""
    case = Case()
    failed = case.settle(upload("i1", "!"))
    assert (failed.kind, failed.problem, case.told()) == ("failed", BROKEN, {})
    retried = case.settle(upload("i1", "a1", "i1.1"))
    assert (retried.kind, case.told()) == ("settled", {"i1": ("new", None, "allow")})
    again = case.settle(upload("i1", "a1", "i1.2"))
    assert (again.kind, again.problem and again.problem.status) == ("refused", 409)


def test_bytes_of_a_copy_are_kept_unless_they_are_to_be_discarded() -> None:
    """`discard_bytes` concerns duplicates only."""
    case = Case()
    case.settle(upload("i1", "a1", keep=False))
    case.settle(upload("i2", "a1", keep=False))
    case.settle(upload("i3", "a1"))
    assert [state(case, one).content for one in ("i1", "i2", "i3")] == [
        "stored",
        "discarded",
        "stored",
    ]


def test_bytes_are_discarded_only_where_the_same_bytes_are_stored() -> None:
    """Neither those of a near duplicate, nor those that another record has no longer."""
    case = Case(ALL)
    case.uploads(i1="a1")
    case.settle(upload("i2", "a2", keep=False))
    case.settle(upload("i3", "b1", keep=False))
    assert [state(case, one).verdict.kind for one in ("i2", "i3")] == ["near_duplicate"] * 2
    case.settle(upload("i4", "a1", keep=False))
    case.settle(operation("p", "purge", "i1"))
    case.settle(upload("i5", "a1", keep=False))
    assert [state(case, one).content for one in ("i1", "i2", "i3", "i4", "i5")] == [
        "purged",
        "stored",
        "stored",
        "discarded",
        "stored",
    ]


# --- several frames -----------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [("a1~", "a2~"), ("a1~", "a2"), ("a1", "a2~")])
def test_equal_first_frames_are_not_equal_pictures(one: str, other: str) -> None:
    """An animation begins as another does, or as a still; its later frames were not compared."""
    case = Case()
    case.uploads(i1=one, i2=other)
    assert case.told()["i2"] == ("near_duplicate", "i1", "allow")
    (match,) = state(case, "i2").verdict.matches
    assert (match.evidence.signals, match.evidence.uncompared) == (("alignment",), ("frames",))


def test_blank_first_frames_say_nothing() -> None:
    """Two animations or scans that begin with a blank page are two."""
    case = Case()
    case.uploads(i1="_1~", i2="_2~", i3="_1~")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("new", None, "allow"),
        "i3": ("exact", "i1", "allow"),
    }


@pytest.mark.parametrize("first", ["before", "after"])
def test_a_block_on_one_animation_asks_for_a_review_of_another(first: str) -> None:
    """So do the same bytes as that other; the very bytes of the blocked one stay blocked."""
    case = Case(rules=replace(RULES, copies=9))
    case.uploads(i1="a1~")
    if first == "before":
        case.decided("i1", "block")
    case.uploads(i2="a2~", i3="a2~", i4="a1~")
    if first == "after":
        case.decided("i1", "block")
    assert [case.told()[one][2] for one in ("i2", "i3", "i4")] == ["review", "review", "block"]


def test_frames_that_nobody_compared_are_not_approved_with_the_first() -> None:
    """They get what a new picture gets."""
    case = Case(rules=replace(RULES, decisions=Decisions(new="review")))
    case.uploads(i1="a1")
    case.decided("i1", "allow")
    case.uploads(i2="a2~", i3="a2")
    assert [case.told()[one][2] for one in ("i2", "i3")] == ["review", "allow"]


@pytest.mark.parametrize(
    ("blocked", "back", "value"),
    [
        ("a1", "b1", "block"),
        ("a1", "b1~", "review"),
        ("a1~", "b1", "review"),
    ],
)
def test_a_first_frame_like_a_takedowns_asks_for_a_review(
    blocked: str, back: str, value: str
) -> None:
    """Hash and features of a purged picture are of its first frame alone."""
    case = Case()
    case.uploads(i1=blocked)
    case.decided("i1", "block")
    case.settle(operation("p", "purge", "i1"))
    case.uploads(i2=back)
    assert state(case, "i2").decision.value == value


# --- decisions ----------------------------------------------------------------------------------


def test_a_copy_has_its_originals_decision() -> None:
    """A blocked picture stays blocked under any disguise that is confirmed."""
    case = Case(ALL)
    case.uploads(i1="a1")
    case.decided("i1", "block")
    case.uploads(i2="a1", i3="b1")
    assert [case.told()[one][2] for one in ("i2", "i3")] == ["block", "block"]


@pytest.mark.parametrize(
    ("original", "copy"), [("allow", "review"), ("review", "review"), ("block", "block")]
)
def test_words_over_a_picture_are_not_approved_with_it(original: str, copy: str) -> None:
    """A copy with changed regions needs a look where its original is allowed."""
    case = Case(CAPTION)
    case.uploads(i1="a1")
    case.decided("i1", original)
    case.uploads(i2="b1")
    assert case.told()["i2"] == ("near_duplicate", "i1", copy)


def test_the_same_bytes_as_a_changed_copy_are_changed_too() -> None:
    """An exact copy of a copy points at the original, with that copy's regions and decision."""
    case = Case(CAPTION)
    case.uploads(i1="a1", i2="b1", i3="b1")
    assert case.told()["i3"] == ("exact", "i1", "review")
    proof = state(case, "i3").verdict.matches[0].evidence
    assert proof.signals == ("sha256", "alignment")
    assert proof.changed_regions == state(case, "i2").verdict.matches[0].evidence.changed_regions


def test_a_persons_word_on_the_very_bytes_counts_for_them() -> None:
    """Looked at and allowed once, the same file need not be looked at again."""
    case = Case(CAPTION)
    case.uploads(i1="a1", i2="b1")
    case.decided("i2", "allow")
    case.uploads(i3="b1")
    assert case.told()["i3"] == ("exact", "i1", "allow")
    assert state(case, "i3").decision.by == "policy"


def test_a_decision_on_a_copy_concerns_that_copy_alone() -> None:
    """Neither the original nor its other copies."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="b1", i3="c1")
    done = case.decided("i2", "block")
    assert [one.image_id for one in done.states] == ["i2"]
    assert [value for _, _, value in case.told().values()] == ["allow", "block", "allow"]


def test_a_decision_on_an_original_reaches_its_copies_in_the_same_operation() -> None:
    """Except those on which a person decided."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1", i3="c1")
    case.decided("i3", "allow", "d1")
    done = case.decided("i1", "block", "d2")
    assert [(one.image_id, one.decision.by) for one in done.states] == [
        ("i1", "person"),
        ("i2", "policy"),
    ]
    assert [value for _, _, value in case.told().values()] == ["block", "block", "allow"]
    assert [one.revision for one in case.world.states.values()] == [2, 2, 2]


def test_a_decision_on_a_large_star_goes_in_steps() -> None:
    """The original first, then its copies, so many an entry; the job ends with the last."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="a1", i3="b1", i4="c1")
    job = operation("d", "decide", "i1", value="block")
    steps = [case.settle(job), case.settle(job), case.settle(job)]
    assert [(one.last, [s.image_id for s in one.states]) for one in steps] == [
        (False, ["i1", "i2"]),
        (False, ["i1", "i3"]),
        (True, ["i1", "i4"]),
    ]
    assert {value for _, _, value in case.told().values()} == {"block"}
    assert (state(case, "i1").spreading, state(case, "i1").revision) == ((), 2)


def test_two_decisions_on_a_large_star_end_with_the_later_one() -> None:
    """Whichever job takes the steps, they spread what was decided last."""
    case = Case(ALL)
    case.uploads(i1="a1", i2="a1", i3="b1", i4="c1")
    one = operation("d1", "decide", "i1", value="block")
    two = operation("d2", "decide", "i1", value="review")
    kinds = [case.settle(job).last for job in (one, two, one, one, two)]
    assert kinds == [False, False, False, True, True]
    assert {value for _, _, value in case.told().values()} == {"review"}
    assert state(case, "i1").spreading == ()
