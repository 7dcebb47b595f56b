"""Recall of Weaviate against the exact index, on crops of real photos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from rich.progress import Progress

from adapters.sqlite_index import SQLiteIndex
from adapters.weaviate_index import WeaviateIndex, parse
from benchmarks.data import crops, models, photos
from benchmarks.data.photos import Kind, PhotoSource
from benchmarks.report import Row, Run, seconds
from core.index_port import Index
from core.matching.policy import POLICY
from core.records import Record
from core.types import Fingerprint, Hit, Query, Vector
from tests.backends import servers
from tests.doubles.records import image_id, record

TENANT = "default"
SURE = 5
"""Votes at which a candidate is rarely one by chance."""
ENTRY = 500
KEPT = Path("out")
DIMENSIONS = 512
NOISE = 0.9
"""Length of the vector from a subject's centre to a made picture."""


class Size(NamedTuple):
    """Numbers of stored crops and queries."""

    stored: int
    queries: int
    near: int
    """Queries among them that search candidates as an upload does."""


FULL: dict[Kind, Size] = {"made": Size(10_000, 500, 200), "real": Size(50_000, 1_000, 200)}
QUICK = Size(150, 8, 4)


class Million(NamedTuple):
    """Numbers of stored made vectors and queries."""

    made: int
    queries: int
    subjects: int


FULL_MILLION = Million(1_000_000, 1_000, 20_000)
QUICK_MILLION = Million(1_000, 8, 100)


@contextmanager
def weaviate(folder: Path) -> Iterator[tuple[servers.Weaviate, WeaviateIndex]]:
    """Start a Weaviate server and open an index on it."""
    with (
        servers.weaviate(folder / "weaviate") as server,
        closing(WeaviateIndex(parse(server.url), POLICY, prefix="Bench")) as index,
    ):
        yield server, index


def rows(run: Run) -> list[Row]:
    """Measure recall at ten, and of each source's candidates, on crops with some held out."""
    return [_row(run, source) for source in run.sources]


def _row(run: Run, source: PhotoSource) -> Row:
    size = QUICK if run.quick else FULL[source.kind]
    progress = run.progress
    with ExitStack() as stack:
        folder = stack.enter_context(photos.folder())
        trained = models.trained("dual-encoder")
        model = trained or models.tiny(folder / "model")
        kept = folder if run.quick else KEPT
        made = crops.crops(progress, source, model, size.stored + size.queries, kept)
        embedded = SQLiteIndex(folder / "index.sqlite", POLICY, durable=False)
        local = stack.enter_context(closing(embedded))
        server, index = stack.enter_context(weaviate(folder))
        records = [
            _record(n, made.fingerprints[n], made.vectors[n], made.space_id)
            for n in range(size.stored)
        ]
        _project(progress, local, records, "storing embedded")
        began = time.perf_counter()
        _project(progress, index, records, "storing in Weaviate")
        stored = time.perf_counter() - began
        held = [
            Query(
                image_id=image_id(n),
                fingerprint=made.fingerprints[n],
                vector=made.vectors[n],
                space_id=made.space_id,
            )
            for n in range(size.stored, size.stored + size.queries)
        ]
        found, taken = _recalls(progress, local, index, held)
        sources, hit_ms = _candidates(progress, local, index, held[: size.near])
        return Row(
            work=f"Weaviate's recall at 10 of {size.stored:,} crops, {size.queries:,} held out",
            photos=source.kind,
            unit="",
            value=float(np.mean(found)),
            target=0.97 if trained else None,
            details={
                "vectors of": model.name,
                "least of a query": min(found),
                "p50 / p95, ms": _quantiles(taken),
                "stored, records/s": size.stored / stored,
                "memory of the server, MB": _memory(server),
                "disk, MB": _disk(server.data),
                **sources,
                "candidates of one picture, p50 / p95, ms": _quantiles(hit_ms),
            },
        )


def _recalls(
    progress: Progress, local: Index, index: Index, held: Sequence[Query]
) -> tuple[list[float], list[float]]:
    """Return each query's share of the exact nearest that were found, and its seconds."""
    found, taken = [], []
    for query in progress.track(held, description="searching"):
        exact = _nearest(local, query)
        began = time.perf_counter()
        near = _nearest(index, query)
        taken.append(time.perf_counter() - began)
        found.append(len(exact & near) / len(exact))
    return found, taken


def million(run: Run) -> list[Row]:
    """Measure search and candidates among a million made pictures, and their storage."""
    size = QUICK_MILLION if run.quick else FULL_MILLION
    progress = run.progress
    random = np.random.default_rng(11)
    centres = _unit(random.standard_normal((size.subjects, DIMENSIONS)).astype(np.float32))
    space = "visual-00000001"

    def vectors(count: int) -> Vector:
        noise = random.standard_normal((count, DIMENSIONS)).astype(np.float32)
        noise *= NOISE / np.sqrt(DIMENSIONS)
        return _unit(centres[random.integers(0, size.subjects, count)] + noise)

    with photos.folder() as folder, weaviate(folder) as (server, index):
        began = time.perf_counter()
        starts = range(0, size.made, ENTRY)
        for start in progress.track(starts, description=f"storing {size.made:,}"):
            matrix = vectors(ENTRY)
            seq = start // ENTRY + 1
            part = [record(start + n, seq, vectors={space: matrix[n]}) for n in range(ENTRY)]
            index.project_entry(TENANT, seq, part, [], [])
        stored = time.perf_counter() - began
        queries = vectors(size.queries)
        search, check = [], []
        for n, vector in enumerate(progress.track(queries, description="searching")):
            search.append(seconds(partial(index.find_neighbours, TENANT, space, vector, limit=20)))
            query = Query(
                image_id=image_id(size.made + n),
                fingerprint=record(size.made + n, 1).fingerprint,
                vector=vector,
                space_id=space,
            )
            check.append(seconds(lambda q=query: index.find_candidates(TENANT, [q])))  # type: ignore[misc]
        return [
            Row(
                work=f"nearest twenty of {size.made:,} made vectors in Weaviate, p99",
                unit="ms",
                value=float(np.quantile(search, 0.99) * 1e3),
                better="less",
                details={
                    "search, p50 / p95, ms": _quantiles(search),
                    "candidates for a check, p50 / p95, ms": _quantiles(check),
                    "candidates for a check, p99, ms": float(np.quantile(check, 0.99) * 1e3),
                    "filled as by a reindex, minutes": stored / 60,
                    "memory of the server, MB": _memory(server),
                    "disk, MB": _disk(server.data),
                },
            )
        ]


def _record(n: int, print_: Fingerprint, vector: Vector, space_id: str) -> Record:
    return record(n, n // ENTRY + 1, print_=print_, vectors={space_id: vector}, spaces=(space_id,))


def _project(progress: Progress, index: Index, records: Sequence[Record], what: str) -> None:
    for start in progress.track(range(0, len(records), ENTRY), description=what):
        index.project_entry(TENANT, start // ENTRY + 1, records[start : start + ENTRY], [], [])


def _nearest(index: Index, query: Query) -> set[str]:
    assert query.vector is not None
    assert query.space_id is not None
    near = index.find_neighbours(TENANT, query.space_id, query.vector, limit=10)
    return {one.image_id for one in near}


def _candidates(
    progress: Progress, local: Index, index: Index, queries: Sequence[Query]
) -> tuple[dict[str, object], list[float]]:
    """Return the share of exact candidates found by source, and each query's seconds."""
    there: dict[str, list[int]] = {}
    taken = []
    kinds: dict[str, Callable[[Hit], bool]] = {
        "phash": lambda hit: hit.hamming is not None,
        "visual": lambda hit: hit.similarity is not None,
        "features": lambda hit: hit.votes is not None,
    }
    sources: dict[str, Callable[[Hit], bool]] = {
        "phash": kinds["phash"],
        "visual": kinds["visual"],
        f"features, {SURE} votes or more": lambda hit: (hit.votes or 0) >= SURE,
        f"features, fewer than {SURE} votes": lambda hit: 0 < (hit.votes or 0) < SURE,
    }
    for query in progress.track(queries, description="searching candidates"):
        exact = local.find_candidates(TENANT, [query])[0]
        began = time.perf_counter()
        near = index.find_candidates(TENANT, [query])[0]
        taken.append(time.perf_counter() - began)
        for name, has in sources.items():
            kind = name.partition(",")[0]
            mine = {hit.image_id for hit in near if kinds[kind](hit)}
            there.setdefault(name, []).extend(hit.image_id in mine for hit in exact if has(hit))
    shares: dict[str, object] = {
        f"exact candidates by {name} found, of {len(found)}": float(np.mean(found))
        for name, found in there.items()
        if found
    }
    return shares, taken


def _quantiles(taken: Sequence[float]) -> str:
    p50, p95 = np.quantile(taken, [0.5, 0.95]) * 1e3
    return f"{p50:.1f} / {p95:.1f}"


def _memory(server: servers.Weaviate) -> float:
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)


def _disk(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _unit(matrix: Vector) -> Vector:
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
