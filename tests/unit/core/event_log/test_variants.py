"""Variants, settled: originals themselves, which name the pictures that share their layout."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.evidence import Comparison, Evidence, Statement
from core.matching.decisions import Decisions
from core.records import LogPlace
from core.types import Candidates, Hit, Query, Value
from tests.simulation.case import VARIANT, Case, state
from tests.simulation.world import RULES, Relation, World, operation

COMPANY = Relation(confirming=frozenset({frozenset("bc")}), variants=frozenset({frozenset("ac")}))
"""Relation in which c is a copy of b, and a variant of a."""


def listed(case: Case, image_id: str) -> list[tuple[str, str, bool]]:
    """Return id, kind and confirmation of each match."""
    matches = state(case, image_id).verdict.matches
    return [(one.image_id, one.kind, one.confirmed) for one in matches]


def test_a_variant_is_an_original_that_names_the_other() -> None:
    """It has no original, is a candidate for later ones, and its match is not confirmed."""
    case = Case(VARIANT)
    case.uploads(i1="a1", i2="b1", i3="b1", i4="b2")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("variant", None, "allow"),
        "i3": ("exact", "i2", "allow"),
        "i4": ("near_duplicate", "i2", "allow"),
    }
    assert listed(case, "i2") == [("i1", "variant", False)]
    assert state(case, "i2").anchor == LogPlace(2, 0)
    assert state(case, "i2").original == "i2"
    assert state(case, "i2").verdict.variants == ("i1",)


def test_copies_win_over_variants() -> None:
    """Variants are listed after the confirmed matches, before those that merely look alike."""
    case = Case(COMPANY)
    case.uploads(i1="a1", i2="b1", i3="d1", i4="c1")
    assert case.told()["i4"] == ("near_duplicate", "i2", "allow")
    assert listed(case, "i4") == [
        ("i2", "near_duplicate", True),
        ("i1", "variant", False),
        ("i3", "similar", False),
    ]


class AlikeWorld(World):
    """A world in which the first picture looks most alike."""

    def near(self, query: Query) -> Candidates:
        """Return every anchor, the oldest with the highest similarity."""
        hits = super().near(query).hits
        return Candidates(
            tuple(replace(hit, similarity=1 - n / 10) for n, hit in enumerate(hits)),
        )


def test_variants_win_over_similar_pictures() -> None:
    """However much another picture looks alike."""
    case = Case(VARIANT, replace(RULES, similar_at=lambda _: 0.5))
    case.world = AlikeWorld(VARIANT, [])
    case.uploads(i1="c1", i2="a1", i3="b1")
    assert case.told()["i2"] == ("similar", None, "allow")
    assert case.told()["i3"] == ("variant", None, "allow")
    assert listed(case, "i3") == [("i2", "variant", False), ("i1", "similar", False)]


@pytest.mark.parametrize(("chosen", "beside_a_block"), [("allow", "review"), ("block", "block")])
def test_a_variant_has_the_policys_decision(chosen: Value, beside_a_block: Value) -> None:
    """With a blocked picture beside it, a person looks."""
    case = Case(VARIANT, replace(RULES, decisions=Decisions(variant=chosen)))
    case.uploads(i1="a1", i2="b1")
    assert case.told()["i2"] == ("variant", None, chosen)
    case.decided("i1", "block")
    assert case.told()["i2"] == ("variant", None, chosen), "a later block does not reach it"
    case.settle(operation("o", "delete", "i2"))
    case.uploads(i3="b1")
    assert case.told()["i3"] == ("variant", None, beside_a_block)


class SmallPrintWorld(World):
    """A world whose pictures bear print that is too small to compare."""

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Say so in the evidence."""
        evidence = Evidence(statements=(Statement("small_print"),))
        return [replace(found, evidence=evidence) for found in super().compare(query, hits)]


def test_print_too_small_to_compare_is_reviewed() -> None:
    """The difference may be in what cannot be read; without a variant there is none to review."""
    case = Case(VARIANT)
    case.world = SmallPrintWorld(VARIANT, [])
    case.uploads(i1="a1", i2="b1", i3="c1", i4="b2")
    assert case.told() == {
        "i1": ("new", None, "allow"),
        "i2": ("variant", None, "review"),
        "i3": ("new", None, "allow"),
        "i4": ("near_duplicate", "i2", "review"),
    }


def test_a_copy_may_become_a_variant() -> None:
    """Evaluated again after its original went, it is an anchor that names its variants."""
    case = Case(COMPANY)
    case.uploads(i1="b1", i2="c1", i3="a1")
    assert case.told()["i2"] == ("near_duplicate", "i1", "allow")
    case.settle(operation("o", "delete", "i1"))
    assert case.told() == {"i2": ("variant", None, "allow"), "i3": ("new", None, "allow")}
    assert listed(case, "i2") == [("i3", "variant", False)]
    assert state(case, "i2").anchor is not None
    assert state(case, "i2").verdict.revision == 2


def test_a_purged_picture_is_no_variant() -> None:
    """It has no pixels to compare; as before, what may be its return is reviewed."""
    case = Case(VARIANT)
    case.uploads(i1="a1")
    case.settle(operation("p", "purge", "i1"))
    case.uploads(i2="b1")
    assert case.told()["i2"] == ("new", None, "review")
