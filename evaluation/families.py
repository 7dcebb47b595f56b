"""Evaluation of one family of pictures: false verdicts between different instances."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from random import Random

from PIL import Image

from core.evidence import Evidence
from core.matching.policy import Policy
from core.types import COPY_KINDS, Verdict
from evaluation import pairwise
from evaluation.edits import EDITS, jpeg
from evaluation.instance import Instance, StoredPicture, Told
from evaluation.report import Proportion, TemplateErrors, mean
from evaluation.synthetic_templates import Family

COMPARED = 12
"""Instances that are compared each with each: 66 pairs."""
_BATCH = 64
_EXAMPLES = 3


def check_family(
    instance: Instance,
    family: Family,
    policy: Policy,
    count: int,
    told: Told,
    *,
    order: int = 0,
) -> TemplateErrors:
    """Ingest `count` instances one after another, compare the first twelve, check copies of them.

    `told` receives the family's name, the instances that are done, and all. `order` is the seed of
    their order; 0 keeps that of their own seeds.
    """
    seeds = list(range(count))
    if order:
        Random(order).shuffle(seeds)  # noqa: S311 an order, not a secret
    first, stored = _ingested(instance, family, seeds, told)
    relations = _relations(first, policy, instance)
    confirmed = {pair: evidence for pair, evidence in relations.items() if evidence is not None}
    total = len(first) * (len(first) - 1) // 2
    missed = total - len(confirmed)
    changed = [one for one in confirmed.values() if one.changed_regions]
    return TemplateErrors(
        kind=family.name,
        right=family.kinds,
        pictures=len(stored),
        pairs=total,
        unconfirmed=missed,
        variants=len(relations) - len(confirmed),
        changed=len(changed),
        plain=len(confirmed) - len(changed),
        false=missed if family.copies else len(confirmed.keys() | _confirmed(stored)),
        copies=_copies(instance, first, stored),
        regions=mean(len(one.changed_regions) for one in changed),
        share=mean(one.changed_share for one in changed),
        verdicts=_verdicts(stored),
        decisions=_decisions(stored),
        examples=tuple(one.changed_regions for one in changed[:_EXAMPLES]),
    )


def _ingested(
    instance: Instance,
    family: Family,
    seeds: Sequence[int],
    told: Told,
) -> tuple[list[bytes], list[StoredPicture]]:
    """Draw and ingest instances; return the files of the first twelve, and all results."""
    first: list[bytes] = []
    stored: list[StoredPicture] = []
    for start in range(0, len(seeds), _BATCH):
        batch = [jpeg(family.draw(seed)) for seed in seeds[start : start + _BATCH]]
        first += batch[: COMPARED - len(first)]
        stored += instance.ingest(batch)
        told(family.name, len(stored), len(seeds))
    return first, stored


def _verdicts(stored: Sequence[StoredPicture]) -> dict[str, int]:
    return dict(Counter(one.verdict.kind for one in stored if one.verdict))


def _decisions(stored: Sequence[StoredPicture]) -> dict[str, int]:
    return dict(Counter(one.decision.value for one in stored if one.decision))


Pair = frozenset[int]


def _relations(
    drawn: Sequence[bytes], policy: Policy, instance: Instance
) -> dict[Pair, Evidence | None]:
    """Return the related pairs: the evidence of copies, None of variants."""
    found: dict[Pair, Evidence | None] = {}
    for laid in pairwise.related(drawn, policy, lambda _: None, instance.limits):
        pair = frozenset((laid.one, laid.other))
        if laid.comparison.confirmed:
            if found.get(pair) is None:
                found[pair] = laid.comparison.evidence
        else:
            found.setdefault(pair, None)
    return found


def _confirmed(stored: Sequence[StoredPicture]) -> set[Pair]:
    """Return the pairs that verdicts call copies."""
    numbers = {one.image_id: number for number, one in enumerate(stored)}
    found = set()
    for number, one in enumerate(stored):
        for other in copies_of(one.verdict):
            if other in numbers:
                found.add(frozenset((number, numbers[other])))
    return found


def copies_of(verdict: Verdict | None) -> set[str]:
    """Return the ids of the pictures that a verdict calls copies."""
    if verdict is None or verdict.kind not in COPY_KINDS:
        return set()
    found = {match.image_id for match in verdict.matches if match.confirmed}
    return found | ({verdict.original} if verdict.original else set())


def _copies(
    instance: Instance, drawn: Sequence[bytes], stored: Sequence[StoredPicture]
) -> Proportion:
    """Check a smaller copy of each instance, and count those recognised as that very one."""
    found = 0
    for data, one in zip(drawn, stored, strict=False):
        with Image.open(io.BytesIO(data)) as opened:
            copy = jpeg(EDITS["half"].image(opened), 60)
        own = {one.image_id} | copies_of(one.verdict)
        found += bool(own & copies_of(instance.check(copy)))
    return Proportion(found, len(drawn))
