"""Common points: a template's head proves nothing once two other instances are stored."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from core.evidence import ChangedRegion, Comparison, Evidence, Statement, Support
from core.matching.common_points import without_common
from core.matching.policy import POLICY

HEAD = tuple(range(60))
"""Points that every instance of the template shares."""


def _copy(*points: int, changed: bool = True, log_nfa: float = -80.0) -> Comparison:
    region = ChangedRegion(0.1, 0.5, 0.5, 0.2)
    return Comparison(
        "copy",
        Evidence(
            changed_regions=(region,) if changed else (),
            changed_share=0.104,
            statements=(Statement("mirrored"), Statement("laid_over", {"percent": 10.0})),
        ),
        Support(points, log_nfa, tentative=130, sample=4, area=512 * 400.0),
    )


def _relations(*found: Comparison) -> list[str]:
    return [one.relation for one in without_common(found, POLICY)]


def test_one_that_shares_the_head_alone_is_a_variant() -> None:
    """Three instances explain the same points, so that none of them has evidence of its own."""
    assert _relations(*[_copy(*HEAD)] * 3) == ["variant"] * 3


def test_the_first_two_instances_are_left_to_their_pixels() -> None:
    """One other anchor may be a copy itself: it makes nothing common."""
    assert _relations(_copy(*HEAD), _copy(*HEAD)) == ["copy", "copy"]


def test_points_of_its_own_keep_a_copy() -> None:
    """A copy of a stored instance has the head and its own content, in any order of candidates."""
    own = _copy(*HEAD, *range(100, 130))
    others = [_copy(*HEAD)] * 3
    for found in permutations((own, *others)):
        told = without_common(found, POLICY)
        assert [one.confirmed for one in told] == [one is own for one in found]


@pytest.mark.parametrize(
    "other",
    [_copy(*HEAD, log_nfa=-5.0), replace(_copy(*HEAD), support=None)],
    ids=["by chance", "without points"],
)
def test_only_a_certain_map_explains_points(other: Comparison) -> None:
    """Chance explains nothing, and neither does a comparison without keypoints."""
    assert _relations(_copy(*HEAD), other, other)[0] == "copy"


def test_a_copy_without_changes_stays_one() -> None:
    """Where nothing differs the pixels have decided: blank forms are copies of each other."""
    assert _relations(*[_copy(*HEAD, changed=False)] * 3) == ["copy"] * 3


def test_a_weak_map_alone_is_no_template() -> None:
    """Few points of a map leave it weak; without other anchors none of them is common."""
    assert _relations(_copy(*range(6), log_nfa=-30.0)) == ["copy"]


def test_a_few_common_points_take_nothing_away() -> None:
    """A weak map of which a smaller part is common, as under a frame, rests on its own points."""
    frame = _copy(*range(4), log_nfa=-20.0)
    assert _relations(_copy(*range(10), log_nfa=-20.0), frame, frame)[0] == "copy"


def test_a_variant_states_its_other_content() -> None:
    """The changes of a copy become the other content of a variant."""
    told, *_ = without_common([_copy(*HEAD)] * 3, POLICY)
    assert [one.code for one in told.evidence.statements] == ["other_content", "mirrored"]
    assert told.evidence.words.startswith("the same layout or scene with other content in 10 %")
