"""Scenarios from a seed: uploads, deletes, decisions, purges, and the order of delivery."""

from __future__ import annotations

import random
from itertools import combinations

from msgspec.structs import replace

from core.records import Job, JobKind
from tests.simulation.schedule import Scenario
from tests.simulation.world import EARLIER, LATER, Relation, operation, upload

LETTERS = "abcd"
ANIMATED = 0.15
"""Share of the uploads that are animations."""

_OF_D = frozenset(map(frozenset, ("ad", "bd", "cd")))
LAYOUT_OF_D = Relation(
    _OF_D, _OF_D, frozenset(map(frozenset, ("ab", "ac", "bc"))), frozenset(LETTERS)
)
"""Relation in which a, b and c are variants of one layout, and d might be a copy of each."""


def scenario(
    seed: int,
    *,
    uploads: int = 5,
    operations: int = 4,
    workers: int = 2,
    pictures: str = "",
    deletes: bool = False,
    spaces: bool = False,
    again: bool = False,
    template: bool = False,
    blocks: bool = False,
    replicas: int = 0,
    swaps: float = 0.2,
) -> Scenario:
    """Make a scenario of up to so many of each; every job goes to one worker, many to two.

    `spaces`: a second space is added, filled and activated meanwhile.

    `again`: pictures are fingerprinted again meanwhile, which changes their pixels.

    `template`: the pictures are of one layout; the pixels of d differ in a region alone.

    `blocks`: many pictures are blocked, and deleted by callers of different roles.

    `pictures` names the letters that are uploaded, in turns: `abcd` of a family in which every two
    confirm each other, `bcda` of one in which all confirm `a` and no others.
    """
    rng = random.Random(seed)
    jobs = _uploads(rng, rng.randint(2, uploads), pictures)
    kinds = ("delete",) if deletes else ("delete",) * 3 + ("decide",) * 2 + ("purge", "edit")
    if spaces:
        kinds = ("embed",) * 4 + ("add_space", "activate_space", "activate_space", "delete", "edit")
    if blocks:
        kinds = ("decide",) * 4 + ("delete",) * 5 + ("purge", "edit")
    if again:
        kinds = ("refingerprint",) * 4 + ("delete", "purge", "edit")
    pictures_of = {job.image_id: job.sha256 for job in jobs}
    jobs += _operations(rng, [job.image_id for job in jobs], rng.randint(0, operations), kinds)
    if blocks:
        jobs = _erasing(random.Random(seed ^ 0xB10C), jobs)
    jobs = [
        replace(job, sha256=pictures_of.get(job.image_id, "a1"))
        if job.kind == "refingerprint"
        else job
        for job in _held(random.Random(seed ^ 0x401D), jobs)
    ]
    replicas = replicas or rng.choice((1, 1, 2))
    return Scenario(
        jobs=tuple(jobs),
        batches=tuple(_batches(rng, jobs) for _ in range(workers)),
        relation=LAYOUT_OF_D
        if template
        else _relation(rng, pictures, random.Random(seed ^ 0x7A51)),
        replicas=replicas,
        reads=rng.choice((0, 0, 4)),
        swaps=replicas == 1 and rng.random() < swaps,
    )


def _relation(rng: random.Random, pictures: str, other: random.Random) -> Relation:
    """Choose the pairs that confirm each other, and with another generator those of variants."""
    pairs = [frozenset(pair) for pair in combinations(LETTERS, 2)]
    share = rng.choice((0.3, 0.6, 1.0))
    confirming = frozenset(
        pair
        for pair in pairs
        if (rng.random() < share if not pictures else pictures == "abcd" or "a" in pair)
    )
    changed = frozenset(p for p in confirming if rng.random() < 0.3)
    variants = frozenset(p for p in pairs if p not in confirming and other.random() < 0.5)
    return Relation(confirming, changed, variants)


def _uploads(rng: random.Random, n: int, pictures: str) -> list[Job]:
    if pictures:
        return [upload(f"i{k}", f"{pictures[k % len(pictures)]}1") for k in range(n)]
    jobs = []
    for k in range(n):
        letter = rng.choice(LETTERS + LETTERS[:2] + "_")
        picture = (
            "!"
            if rng.random() < 0.05
            else f"{letter}{rng.randint(1, 2)}{'~' if rng.random() < ANIMATED else ''}"
        )
        jobs.append(upload(f"i{k}", picture, keep=rng.random() < 0.8))
        if picture == "!" and rng.random() < 0.7:
            jobs.append(upload(f"i{k}", rng.choice(("!", "a1")), f"i{k}.1"))
    return jobs


def _operations(
    rng: random.Random, images: list[str], n: int, kinds: tuple[JobKind, ...]
) -> list[Job]:
    jobs = []
    for k in range(n):
        image_id = rng.choice([*images, images[0], "nobody"])
        job_id = f"o{k}"
        if_match = rng.choice((None, None, 1, 2))
        match rng.choice(kinds):
            case "decide":
                value = rng.choice(("allow", "review", "block"))
                jobs.append(operation(job_id, "decide", image_id, value=value, if_match=if_match))
            case kind:
                jobs.append(operation(job_id, kind, image_id, if_match=if_match))
    return jobs


def _held(rng: random.Random, jobs: list[Job]) -> list[Job]:
    """Add holds to some edits, and make some edits holds alone."""
    return [
        replace(
            job,
            hold_until=rng.choice((LATER, LATER, EARLIER, None)),
            fields=rng.choice((job.fields, None)),
        )
        if job.kind == "edit" and rng.random() < 0.6
        else job
        for job in jobs
    ]


def _erasing(rng: random.Random, jobs: list[Job]) -> list[Job]:
    """Choose what each delete does with a block; most follow one, and some uploads come last."""
    found: list[Job] = []
    for job in jobs:
        if job.kind == "delete":
            if found[-1].kind != "ingest" and rng.random() < 0.7:
                found[-1] = operation(found[-1].job_id, "decide", job.image_id, value="block")
            erasure = rng.choice(("hide", "hide", "hide", "erase", "forget"))
            job = replace(job, erasure=erasure, if_match=None)  # noqa: PLW2901
        found.append(job)
    last = [job for job in found if job.kind == "ingest" and rng.random() < 0.4]
    return [job for job in found if job not in last] + last


def _batches(rng: random.Random, jobs: list[Job]) -> tuple[tuple[str, ...], ...]:
    """Return most jobs, nearly in the order of acceptance, some of them twice."""
    given = [job.job_id for job in jobs if rng.random() < 0.8]
    given += rng.choices(given, k=rng.randint(0, 2)) if given else []
    if rng.random() < 0.3:
        rng.shuffle(given)
    batches = []
    while given:
        size = rng.randint(1, 4)
        batches.append(tuple(given[:size]))
        del given[:size]
    return tuple(batches)
