"""Speed of exact searches at the sizes of one machine: vectors, hashes, words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import psutil
from rich.progress import Progress

from adapters.sqlite_index.hash_search import HashSearch
from adapters.sqlite_index.vector_search import VectorSearch
from benchmarks.report import Row, Run, fastest
from core.fingerprint import visual_words
from core.fingerprint.sketches import sketch
from core.matching.inverted_index import InvertedIndex
from core.types import Features
from evaluation.synthetic_photos import photo

DIMENSIONS = 512
CHANCE = 0.5
TIMES = 7
ROOM = 3.0
"""Free memory that a fair search of vectors needs, as a multiple of their size."""


class Size(NamedTuple):
    """Numbers of stored vectors, hashes and words."""

    million: int
    """Vectors, and as many hashes."""
    step: int
    """Vectors generated at once."""
    pictures: int
    """Pictures with words."""
    at_once: int
    """Pictures added at once."""
    drawn: int
    """Photos whose words are mixed into the generated ones."""


FULL = Size(1_000_000, 50_000, 100_000, 2_000, 200)
QUICK = Size(20_000, 10_000, 400, 200, 8)


def rows(run: Run) -> list[Row]:
    """Measure a million vectors and hashes, and the words of a hundred thousand pictures."""
    size = QUICK if run.quick else FULL
    return [_vectors(run.progress, size), _hashes(size), _words(run.progress, size)]


def _vectors(progress: Progress, size: Size) -> Row:
    count, step = size.million, size.step
    work = f"exact search over {count:,} x {DIMENSIONS} vectors against one pass over that memory"
    needed = ROOM * count * DIMENSIONS * 4
    if psutil.virtual_memory().available < needed:
        return Row(
            work=work,
            unit="x",
            value=None,
            details={"needs": f"{needed / 1e9:.1f} GB of free memory"},
        )
    random = np.random.default_rng(1)
    held = VectorSearch(DIMENSIONS)
    for start in progress.track(range(0, count, step), description="making vectors"):
        part = random.standard_normal((step, DIMENSIONS), np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        held.extend(np.arange(start, start + step), part)
    query = part[:1]
    blocks = held._view.blocks

    def search() -> None:
        assert held.search(query, 20, 0.2)[0][0].slot == count - step

    def read() -> None:
        for block in blocks:
            block.sum()

    def multiply() -> None:
        for block in blocks:
            block @ query[0]

    ours = fastest(search, TIMES)[0]
    memory = fastest(read, TIMES)[0]
    product = fastest(multiply, TIMES)[0]
    return Row(
        work=work,
        unit="x",
        value=ours / memory,
        target=1.3,
        better="less",
        details={
            "search, ms by the clock, on up to 4 cores": ours * 1e3,
            "one pass (sum) on one core, ms": memory * 1e3,
            "the matrix product on one core, ms": product * 1e3,
        },
    )


def _hashes(size: Size) -> Row:
    count = size.million
    random = np.random.default_rng(2)
    held = HashSearch()
    held.extend(np.arange(count), random.integers(0, 2**64, count, np.uint64))
    turns = random.integers(0, 2**64, 8, np.uint64)
    taken, cpu = fastest(lambda: held.search(turns, 12), 15)
    return Row(
        work=f"hash look-up over {count:,} hashes x 8 turns, a query per million rows and turn",
        unit="ms",
        value=cpu / 8 * 1e3 * (1_000_000 / count),
        target=1.5,
        better="less",
        details={"CPU, all 8 turns, ms": cpu * 1e3, "by the clock, all 8 turns, ms": taken * 1e3},
    )


def _words(progress: Progress, size: Size) -> Row:
    """Measure words, half of them random and half of real pictures: some words are common."""
    real = [
        visual_words.extract(np.asarray(photo(seed, 512, 384)))
        for seed in progress.track(range(size.drawn), description="drawing words")
    ]
    held = InvertedIndex()
    starts = range(0, size.pictures, size.at_once)
    mixed = _mixed(real, size.at_once)
    for start in progress.track(starts, description="holding words"):
        held.extend(range(start, start + size.at_once), next(mixed))
    queries = real[:20]
    taken = sorted(fastest(partial(held.search, one), 5)[::-1] for one in queries)
    return Row(
        work=f"feature look-up, straight, mirrored and as negatives, {size.pictures:,} pictures",
        unit="ms",
        value=taken[len(taken) // 2][0] * 1e3,
        target=20,
        better="less",
        details={
            f"CPU, slowest of {len(queries)}, ms": taken[-1][0] * 1e3,
            "by the clock, ms": median(clock for _, clock in taken) * 1e3,
            "words a picture": len(np.unique(sketch(real[0]).codes)),
        },
    )


def _mixed(real: Sequence[Features], count: int) -> Iterator[list[Features]]:
    """Yield generated features without end, `count` at a time: what an index reads of them.

    Negatives and uncertain bits belong to queries, which are real.
    """
    random = np.random.default_rng(3)
    every = [_arrays(one) for one in real]
    words = np.concatenate([one[0] for one in every])
    mirrored = np.concatenate([one[1] for one in every])
    points = np.concatenate([one[2] for one in every]).astype("<f4")
    each = len(words) // len(real)
    tables = np.arange(visual_words.TABLES) << visual_words.BITS
    while True:
        rows = random.integers(0, len(words), (count, each))
        chance = random.random((count, each, 1)) < CHANCE
        found = [
            np.where(chance, random.integers(0, 1 << visual_words.BITS, new.shape) + tables, new)
            for new in (words[rows], mirrored[rows])
        ]
        own, other = (one.astype("<u4") for one in found)
        places = points[random.integers(0, len(points), (count, each))]
        yield [
            Features(
                words=own[n].tobytes(),
                mirrored=other[n].tobytes(),
                points=places[n].tobytes(),
                width=224,
                height=168,
            )
            for n in range(count)
        ]


def _arrays(one: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.frombuffer(one.points, "<f4").reshape(-1, 4)
    tables = len(one.words) // 4 // len(points)
    words = np.frombuffer(one.words, "<u4").reshape(-1, tables)
    return words, np.frombuffer(one.mirrored, "<u4").reshape(-1, tables), points
