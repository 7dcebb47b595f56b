"""Statements judged against the truth of an edit."""

from __future__ import annotations

import pytest

from core.evidence import ChangedRegion, Evidence, Statement
from evaluation.edits import EDITS
from evaluation.edits.truth import Truth
from evaluation.report import Proportion
from evaluation.statement_truth import StatementTally, holds
from tests.samples.pictures import photo


@pytest.fixture(scope="module")
def crop() -> Truth:
    """Return the truth of a crop to 70 %."""
    return EDITS["crop-70"].apply_with_truth(photo(3, 320, 240))[1]


@pytest.mark.parametrize(
    ("statement", "true"),
    [
        (Statement("cropped", {"percent": 71}), True),
        (Statement("cropped", {"percent": 50}), False),
        (Statement("reencoded"), True),
        (Statement("mirrored"), False),
        (Statement("other_content", {"percent": 4}), False),
        (Statement("enlarged", {"percent": 130}), False),
    ],
)
def test_statements_hold_by_code_and_number(crop: Truth, statement: Statement, true: bool) -> None:
    """A statement is true if its code is, and its number lies near the true one."""
    assert holds(statement, crop) == true


def test_tally_counts_true_and_named(crop: Truth) -> None:
    """Shares are by code: statements made that hold, and changes made that are named."""
    tally = StatementTally()
    right, wrong = Statement("cropped", {"percent": 70}), Statement("mirrored")
    tally.add("crop-70 a.jpg", crop, Evidence(statements=(right, wrong)))
    tally.add("crop-70 b.jpg", crop, Evidence())
    found = {one.code: one for one in tally.statements()}
    assert found["cropped"].true == Proportion(1, 1)
    assert found["cropped"].named == Proportion(1, 2)
    assert found["cropped"].silent == ("crop-70 b.jpg",)
    assert found["mirrored"].true == Proportion(0, 1)
    assert found["mirrored"].false == ("crop-70 a.jpg: mirrored",)


def test_captions_may_be_named_as_laid_over() -> None:
    """Another word for a change names it; a region counts if it lies on the change."""
    _, truth = EDITS["caption"].apply_with_truth(photo(3, 320, 240))
    tally = StatementTally()
    below = ChangedRegion(x=0, y=0.8, width=1, height=0.2)
    above = ChangedRegion(x=0, y=0, width=1, height=0.2)
    code = Statement("laid_over", {"percent": 20})
    tally.add("caption a.jpg", truth, Evidence(statements=(code,), changed_regions=(below, above)))
    (caption,) = (one for one in tally.statements() if one.code == "caption")
    assert caption.named == Proportion(1, 1)
    assert (tally.regions().true, tally.regions().shown) == (Proportion(1, 2), Proportion(1, 1))
