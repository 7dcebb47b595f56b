"""Decisions of the policy: by kind of verdict, and what a copy inherits from confirmed matches."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from core.evidence import Evidence
from core.records import State
from core.types import Value

STRICTNESS: dict[Value, int] = {"allow": 0, "review": 1, "block": 2}


class Decisions(Struct, frozen=True, kw_only=True):
    """Decisions of the policy where no person has decided."""

    new: Value = "allow"
    similar: Value = "allow"
    variant: Value = "allow"
    """Decision on a variant of pictures that are not blocked."""
    changed: Value = "review"
    """Decision on a copy with changed regions whose original is allowed."""


def stricter(one: Value, other: Value) -> Value:
    """Return the stricter of two decisions."""
    return max(one, other, key=STRICTNESS.__getitem__)


def inherited(original: Value, proof: Evidence | None, decisions: Decisions) -> Value:
    """Return a copy's decision: its original's, as far as the two were compared.

    Other matter is not approved with the original; what is only cut away shows nothing new. Parts
    that were not compared, such as later frames, count as new: neither approved nor blocked with
    the original, whose block leads to a review.
    """
    value = original
    if proof is not None and proof.uncompared:
        value = stricter(decisions.new, "allow" if original == "allow" else "review")
    changed = proof is not None and any(one.kind != "cut_away" for one in proof.changed_regions)
    return decisions.changed if changed and value == "allow" else value


def strictest(state_of: Callable[[str], State | None], copy: State, decisions: Decisions) -> Value:
    """Return a copy's decision by the policy: the strictest over all of its confirmed matches.

    A match that an older Seenit deleted without dropping it here counts as not there.
    """
    value: Value = "allow"
    for image_id, proof in copy.confirmed.items():
        other = state_of(image_id)
        if other is not None:
            value = stricter(value, inherited(other.decision.value, proof, decisions))
    return value
