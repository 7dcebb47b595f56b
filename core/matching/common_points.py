"""Templates by the company they keep: keypoints that other anchors explain as well prove nothing.

Every receipt of a shop shares its head with every other one. A point of the picture that two or
more other anchors lay on a point of theirs is common property; a candidate that only common points
connect to the picture is another instance of the template.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from core.evidence import Comparison, Statement, Support
from core.matching.differences.statements import CHANGES, whole_percent
from core.matching.differences.wording import words
from core.matching.policy import Policy
from core.matching.regions.point_agreement import log_nfa

_OTHERS = 2
"""Other anchors that make a point common property; one may be a copy that was stored before."""
_COMMON = 0.5
"""Share of the points above which the rest is doubted; measured: of another instance of a
template, 0.75 are at least."""


def without_common(found: Sequence[Comparison], policy: Policy) -> list[Comparison]:
    """Return the comparisons of one picture, copies without evidence of their own as variants.

    Only a copy with changed regions is doubted: where nothing differs, the pixels have decided. The
    comparisons are those of the candidates that were fetched, in any order.
    """
    supports = [
        one.support if one.support and one.support.log_nfa <= policy.shared else None
        for one in found
    ]
    explained = Counter(point for one in supports if one for point in one.points)
    return [
        _variant(comparison)
        if own and _is_common(comparison, own, explained, policy)
        else comparison
        for comparison, own in zip(found, supports, strict=True)
    ]


def rests_on_common(
    support: Support, explained: Mapping[int, int], others: int, policy: Policy
) -> bool:
    """Return whether most points are common, and chance would give the others as well.

    A point is common if more than `others` anchors explain it. A map that rests on few points, none
    of them common, is weak, but says nothing of a template.
    """
    own = sum(explained.get(point, 0) <= others for point in support.points)
    if own >= (1 - _COMMON) * len(support.points):
        return False
    nfa = log_nfa(own, support.tentative, support.sample, support.area, policy.tolerance)
    return nfa > policy.own


def _is_common(
    comparison: Comparison, own: Support, explained: Mapping[int, int], policy: Policy
) -> bool:
    if comparison.relation != "copy" or not comparison.evidence.changed_regions:
        return False
    # the candidate itself is one of those that explain its points
    return rests_on_common(own, explained, _OTHERS, policy)


def _variant(comparison: Comparison) -> Comparison:
    """Return the comparison with its changes as the other content of a variant."""
    evidence = comparison.evidence
    said = (
        Statement("other_content", {"percent": whole_percent(evidence.changed_share)}),
        *(one for one in evidence.statements if one.code not in CHANGES),
    )
    return Comparison("variant", replace(evidence, statements=said, words=words(said)))
