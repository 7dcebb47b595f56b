"""Judgement of the statements about an edited picture against the truth of its edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from core.evidence import Box, ChangedRegion, Evidence, Statement, StatementCode
from evaluation.edits.truth import Truth
from evaluation.report import Proportion, RegionTruth, StatementTruth

_NAMED_BY: Mapping[StatementCode, frozenset[StatementCode]] = {
    "caption": frozenset({"laid_over", "watermark", "replaced"}),
    "watermark": frozenset({"laid_over"}),
    "laid_over": frozenset({"caption", "watermark", "replaced", "cut_away"}),
    "replaced": frozenset({"laid_over", "caption"}),
    "cut_away": frozenset({"laid_over", "replaced"}),
    "framed": frozenset({"extended"}),
    "slanted": frozenset({"bent"}),
    "bent": frozenset({"slanted"}),
    "tinted": frozenset({"recoloured", "without_colours", "other_colours"}),
    "reencoded": frozenset(
        {"unchanged", "same_pixels", "same_file", "looks_alike", "no_pixels", "resized", "enlarged"}
    ),
}
"""Codes that name the same change in other words."""
_UNJUDGED: frozenset[StatementCode] = frozenset({"same_pixels", "no_pixels", "looks_alike"})
"""Codes that speak of how the pair was compared."""
_LAID = 0.3
"""Share of a stated region that has to lie in true ones."""
_EXAMPLES = 20
_TOLERANCES: Mapping[tuple[StatementCode, str], float] = {
    ("turned", "degrees"): 2.0,
    ("cropped", "percent"): 5.0,
    ("framed", "percent"): 6.0,
    ("extended", "percent"): 6.0,
    ("stretched", "ratio"): 0.08,
    ("resized", "percent"): 8.0,
    ("enlarged", "percent"): 8.0,
}
"""Errors of a parameter up to which a statement is true; of the last two in percent of it."""


class StatementTally:
    """Counter of true statements and of named changes, by code."""

    def __init__(self) -> None:
        self._stated: dict[StatementCode, list[tuple[bool, str]]] = defaultdict(list)
        self._done: dict[StatementCode, list[tuple[bool, str]]] = defaultdict(list)
        self._regions: list[bool] = []
        self._covered: list[bool] = []

    def add(self, where: str, truth: Truth, evidence: Evidence) -> None:
        """Judge the evidence of one recognised copy; `where` names the edit and the photo."""
        codes = {one.code for one in evidence.statements}
        for one in evidence.statements:
            if one.code not in _UNJUDGED:
                self._stated[one.code].append((holds(one, truth), f"{where}: {_shown(one)}"))
        for code in truth.done:
            named = bool(codes & ({code} | _NAMED_BY.get(code, frozenset())))
            self._done[code].append((named, where))
        for region in evidence.changed_regions:
            self._regions.append(_inside(region, truth.regions) >= _LAID)
        for change in truth.regions:
            self._covered.append(_inside(change, evidence.changed_regions) >= _LAID)

    def statements(self) -> tuple[StatementTruth, ...]:
        """Return the shares by code, in the order of the codes' names."""
        return tuple(
            StatementTruth(
                code=code,
                true=_share(self._stated[code]),
                named=_share(self._done[code]),
                false=_examples(self._stated[code]),
                silent=_examples(self._done[code]),
            )
            for code in sorted({*self._stated, *self._done})
        )

    def regions(self) -> RegionTruth:
        """Return how many changed regions were there, and how many changes they show."""
        return RegionTruth(
            true=Proportion(sum(self._regions), len(self._regions)),
            shown=Proportion(sum(self._covered), len(self._covered)),
        )


def holds(statement: Statement, truth: Truth) -> bool:
    """Return whether a statement is true: its code, and each parameter that has a true value."""
    if statement.code not in truth.true:
        return False
    if "bent" in truth.done:
        return True  # its map has no one number
    true = _parameters(truth)
    for name, value in statement.params.items():
        allowed = _TOLERANCES.get((statement.code, name))
        if allowed is None or isinstance(value, str):
            continue
        exact = true[statement.code]
        if statement.code == "cropped":
            exact = min(max(value, 100 * truth.seen), 100 * truth.within)
        margin = allowed * exact / 100 if statement.code in {"resized", "enlarged"} else allowed
        if abs(value - exact) > margin + 0.5:  # half a unit is lost to rounding
            return False
    return True


def _parameters(truth: Truth) -> dict[StatementCode, float]:
    filled = 100 * truth.filled
    return {
        "turned": abs((truth.rotation + 180) % 360 - 180),
        "cropped": 100 * truth.seen,
        "framed": filled,
        "extended": filled,
        "stretched": truth.stretch,
        "resized": 100 / truth.scale,
        "enlarged": 100 / truth.scale,
    }


def _inside(region: Box, others: Sequence[ChangedRegion]) -> float:
    """Return the share of a box that the others cover, none counted twice as they are apart."""
    covered = 0.0
    for one in others:
        width = min(region.x + region.width, one.x + one.width) - max(region.x, one.x)
        height = min(region.y + region.height, one.y + one.height) - max(region.y, one.y)
        covered += max(0.0, width) * max(0.0, height)
    return covered / max(region.width * region.height, 1e-6)


def _share(judged: Sequence[tuple[bool, str]]) -> Proportion:
    return Proportion(sum(flag for flag, _ in judged), len(judged))


def _examples(judged: Sequence[tuple[bool, str]]) -> tuple[str, ...]:
    return tuple(where for flag, where in judged if not flag)[:_EXAMPLES]


def _shown(statement: Statement) -> str:
    values = ", ".join(f"{name}={value}" for name, value in statement.params.items())
    return f"{statement.code}({values})" if values else statement.code
