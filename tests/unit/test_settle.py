"""What becomes of one job among the live records: the serial specification, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.entries import Ended, Job, Operation, Place, State
from core.settle import decide, outcomes, tombstones
from core.step import Now
from core.types import Absent, Candidates, Comparison, Evidence, Hit, Match, Query
from core.verdict import Decisions, Rules
from tests import world
from tests.world import (
    AT,
    EARLIER,
    LATER,
    RULES,
    Relation,
    World,
    claim,
    operation,
    upload,
)

ALL = Relation(frozenset(map(frozenset, ("ab", "ac", "bc"))))
"""Pictures a, b and c confirm each other."""
CHAIN = Relation(frozenset(map(frozenset, ("ab", "bc"))))
"""a and b do, b and c do, a and c do not."""
CAPTION = Relation(frozenset({frozenset("ab")}), frozenset({frozenset("ab")}))
"""b is a with words laid over it."""


class Case:
    """Settles jobs one after the other and remembers what was decided."""

    def __init__(self, relation: Relation | None = None, rules: Rules = RULES) -> None:
        self.world = World(relation or Relation(), [])
        self.rules = rules
        self.seq = 0

    def settle(self, job: Job, **more: object) -> Operation:
        """One job, one entry."""
        self.seq += 1
        self.world.jobs[job.job_id] = job
        done = decide(self.world, replace(claim(job), **more), Now(self.seq, 0, AT), self.rules)
        self.world.take(done, self.seq)
        return done

    def uploads(self, **pictures: str) -> None:
        """Each under its id, in order."""
        for image_id, picture in pictures.items():
            self.settle(upload(image_id, picture))

    def told(self) -> dict[str, tuple[str, str | None, str]]:
        """Kind, original and decision of every record."""
        return {
            one.image_id: (one.verdict.kind, one.verdict.original, one.decision.value)
            for one in self.world.states.values()
        }

    def decided(self, image_id: str, value: str, job_id: str = "d") -> Operation:
        """A person says so."""
        return self.settle(operation(job_id, "decide", image_id, value=value))


def state(case: Case, image_id: str) -> State:
    """A live record's."""
    return case.world.states[image_id]


# --- verdicts -----------------------------------------------------------------------------------


def test_the_first_is_new_and_an_anchor() -> None:
    """Nothing is stored yet: new, allowed, a candidate for what follows."""
    case = Case()
    case.uploads(i1="a1")
    assert case.told() == {"i1": ("new", None, "allow")}
    assert state(case, "i1").anchor == Place(1, 0)


def test_the_same_bytes_are_exact_and_the_same_pixels_near() -> None:
    """Both point at the original, with the signal that said so."""
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
    """Of two anchors that confirm it, the one of the lower place in the log."""
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


def test_flat_pictures_match_by_bytes_and_pixels_alone() -> None:
    """Nothing for a hash to hold on to: not comparable, and no candidate either."""
    case = Case(Relation(frozenset({frozenset("_a")})))
    case.uploads(i1="_1", i2="a1", i3="_1", i4="_2")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("new", None, "allow"),
        "i3": ("exact", "i1", "allow"),
        "i4": ("near_duplicate", "i1", "allow"),
    }
    assert [state(case, one).verdict.comparable for one in ("i1", "i2")] == [False, True]
    assert state(case, "i2").verdict.matches == ()


class Alike(World):
    """A world in which every candidate looks alike, and nothing is worth aligning."""

    def near(self, query: Query) -> Candidates:
        """The letters' distance as a similarity."""
        return Candidates(
            tuple(
                Hit(image_id=hit.image_id, similarity=1 - (hit.hamming or 0) / 10)
                for hit in super().near(query).hits
            )
        )

    def compare(self, query: Query, hit: Hit) -> Comparison:
        """Nobody may ask."""
        raise AssertionError((query, hit))


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
    assert state(case, "i3").anchor == Place(3, 0)


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
    """Its job says why; a retry is a job of its own and may still succeed."""
    case = Case()
    failed = case.settle(upload("i1", "!"))
    assert (failed.kind, failed.problem, case.told()) == ("failed", world.BROKEN, {})
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


# --- decisions ----------------------------------------------------------------------------------


def test_a_copy_has_its_originals_decision() -> None:
    """What was blocked stays blocked under any disguise that is confirmed."""
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


# --- deletes ------------------------------------------------------------------------------------


def test_copies_of_a_deleted_original_are_settled_anew() -> None:
    """In order: the first becomes the original of the rest, and each verdict rises."""
    case = Case(ALL, replace(RULES, copies=9))
    case.uploads(i1="a1", i2="b1", i3="c1")
    done = case.settle(operation("o", "delete", "i1"))
    assert (done.kind, done.removed) == ("deleted", ("i1",))
    assert case.told() == {
        "i2": ("new", None, "allow"),
        "i3": ("near_duplicate", "i2", "allow"),
    }
    assert [(one.anchor, one.verdict.revision, one.revision) for one in done.states] == [
        (Place(4, 0), 2, 2),
        (None, 2, 2),
    ]


def test_a_copy_keeps_the_stricter_decision_when_its_original_goes() -> None:
    """What was blocked does not become allowed by deleting the picture that it repeated."""
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
    """Closed, its copies settled anew so many at a time, then gone; no new copies meanwhile."""
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
    """If-Match is asked once; an edit on the way does not stop it half-way."""
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


# --- purges, edits, preconditions ---------------------------------------------------------------


def test_a_purged_picture_is_still_recognised() -> None:
    """By its bytes for sure, else as an unconfirmed match that a person must look at."""
    case = Case(ALL)
    case.uploads(i1="a1")
    purged = case.settle(operation("p", "purge", "i1"))
    assert (purged.kind, state(case, "i1").content) == ("purged", "purged")
    assert state(case, "i1").anchor == Place(1, 0)
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
    """And raises the revision."""
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
    """The same two operations in either order, told by the log alone."""
    job = operation("o", "delete", "i1")
    for at, kind in ((EARLIER, "refused"), (AT, "deleted"), (LATER, "deleted")):
        case = Case()
        case.uploads(i1="a1")
        hold(case, AT)
        assert decide(case.world, claim(job), Now(9, 0, at), RULES).kind == kind
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
    """It is settled anew and stays held."""
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
