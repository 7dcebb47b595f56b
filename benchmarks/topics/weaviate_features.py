"""Local features in Weaviate: words by BM25 against one aggregated vector in a graph.

Each way of searching has to find 60 real photos by all their edits among as many made pictures as
SEENIT_TEST_PICTURES says, as they are and mirrored; what it finds counts if its keypoints vote.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import psutil
import weaviate
from numpy.typing import NDArray
from rich.progress import Progress
from weaviate.classes.config import (
    Configure,
    DataType,
    Property,
    StopwordsPreset,
    VectorDistances,
)
from weaviate.classes.data import DataObject
from weaviate.classes.init import AdditionalConfig, Timeout
from weaviate.collections import Collection

from adapters.weaviate_index import visual_words as source
from benchmarks.data import keypoint_collection, photos
from benchmarks.data.aggregated_vectors import Aggregate
from benchmarks.data.keypoint_collection import KeypointCollection, KeypointQuery
from benchmarks.report import Row, Run
from core.fingerprint import visual_words, word_rarity
from core.matching.policy import POLICY
from core.types import Features
from evaluation.edits import jpeg
from evaluation.synthetic_photos import photo
from tests.backends import servers
from tests.samples.votes import votes

TOP = 20
BATCH = 500
FEW = 100
"""Words of the short query."""


class Size(NamedTuple):
    """Numbers of pictures and queries."""

    pictures: int
    photos: int | None
    """Photos that are edited, and as many that lend keypoints; None for all."""
    every: int
    """Interval of the photos that are edited."""
    learnt: int
    """Drawn pictures from which the aggregate learns."""


FULL = Size(int(os.environ.get("SEENIT_TEST_PICTURES", "60000")), None, 5, 1_500)
QUICK = Size(60, 8, 4, 40)


class Way(NamedTuple):
    """A way to find a picture by its local features."""

    name: str
    collection: str
    vectors: bool
    stored: Callable[[KeypointCollection], Iterable[Any]]
    """Function from pictures to their words as text, or to their vectors."""
    queries: Callable[[KeypointQuery], list[Any]]
    """Function from an edited photo to its queries, as it is and mirrored."""


class Cost(NamedTuple):
    """The cost of storing pictures."""

    pictures: int
    rate: float
    """Pictures a second."""
    disk: float
    """Bytes a picture."""
    memory: float
    """Bytes a picture that the server's memory grew; more if it has not compacted yet."""


def rows(run: Run) -> list[Row]:
    """Measure each way: the share it finds of each edit, and its cost."""
    size = QUICK if run.quick else FULL
    progress = run.progress
    own, lending = run.best.apart(size.photos)
    tracked = progress.track(own, description="photos to be found")
    stored = [keypoint_collection.detect(data) for data in tracked]
    tracked = progress.track(lending, description="photos that lend keypoints")
    lenders = keypoint_collection.real([keypoint_collection.detect(data) for data in tracked])
    edited = list(keypoint_collection.edited(progress, own, size.every))
    known = [visual_words.described(one) for one in stored]
    queries = [
        (one, votes(one.features, known[one.number])[0] >= POLICY.feature_votes)
        for one in progress.track(edited, description="votes")
    ]
    found: list[Row] = []
    costs: dict[str, Cost] = {}
    with (
        photos.folder() as folder,
        servers.weaviate(folder / "weaviate") as server,
        _connected(server) as client,
    ):
        for way in _ways(progress, size.learnt):
            if way.collection not in costs:
                crowd = chain(
                    [keypoint_collection.real(stored), lenders],
                    keypoint_collection.made(lenders, size.pictures - len(own) - len(lending)),
                )
                costs[way.collection] = _store(progress, client, server, way, crowd)
            row = _row(progress, client, way, queries, costs[way.collection])
            found.append(replace(row, photos=run.best.kind))
    return found


# --- the ways -----------------------------------------------------------------------------------


def _ways(progress: Progress, learnt: int) -> Iterator[Way]:
    for name, words in (
        ("rare words", _rare),
        ("rare words, and common ones as in a small tenant", _kept),
        (f"{FEW} rarest words", _few),
    ):
        yield Way(name, "Kept", vectors=False, stored=_each(_kept), queries=_both(words))
    yield Way("all words", "Every", vectors=False, stored=_each(_every), queries=_both(_every))
    seeds = progress.track(range(learnt), description="drawing pictures to learn from")
    seen = [keypoint_collection.detect(jpeg(photo(10_000 + seed, 320, 240))) for seed in seeds]
    turned = [one._replace(descriptors=one.descriptors[:, visual_words.MIRROR]) for one in seen]
    one = Aggregate(keypoint_collection.real([*seen, *turned]))

    def vectors(query: KeypointQuery) -> list[Any]:
        found = query.found
        mirrored = found._replace(descriptors=found.descriptors[:, visual_words.MIRROR])
        return list(one.of(keypoint_collection.real([found, mirrored])))

    yield Way("one aggregated vector", "Vector", vectors=True, stored=one.of, queries=vectors)


def _rare(words: bytes) -> str:
    return source.tokens(word_rarity.rare(words))


def _kept(words: bytes) -> str:
    return source.stored(Features(words, b"", b"", 0, 0)).get("words", "")


def _few(words: bytes) -> str:
    every = _different(words)
    return source.tokens(every[np.argsort(word_rarity.commonness(every), kind="stable")[:FEW]])


def _every(words: bytes) -> str:
    return source.tokens(_different(words))


def _each(of: Callable[[bytes], str]) -> Callable[[KeypointCollection], list[str]]:
    return lambda crowd: [of(words) for words in crowd.words()]


def _different(words: bytes) -> NDArray[np.uint32]:
    return np.unique(np.frombuffer(words, np.uint32))


def _both(of: Callable[[bytes], str]) -> Callable[[KeypointQuery], list[Any]]:
    return lambda query: [of(query.features.words), of(query.features.mirrored)]


# --- the server ---------------------------------------------------------------------------------


def _connected(server: servers.Weaviate) -> weaviate.WeaviateClient:
    return weaviate.connect_to_local(
        port=server.http,
        grpc_port=server.grpc,
        additional_config=AdditionalConfig(timeout=Timeout(query=60, insert=300)),
    )


def _store(
    progress: Progress,
    client: weaviate.WeaviateClient,
    server: servers.Weaviate,
    way: Way,
    crowd: Iterator[KeypointCollection],
) -> Cost:
    number = Property(name="number", data_type=DataType.INT, index_filterable=False)
    graph = Configure.VectorIndex.hnsw(
        distance_metric=VectorDistances.COSINE, max_connections=32, ef_construction=128
    )
    vector = Configure.Vectors.self_provided(name="vector", vector_index_config=graph)
    held = client.collections.create(
        way.collection,
        properties=[number] if way.vectors else [number, *source.PROPERTIES],
        vector_config=[vector] if way.vectors else None,
        inverted_index_config=Configure.inverted_index(
            bm25_b=0.0, bm25_k1=1.2, stopwords_preset=StopwordsPreset.NONE
        ),
        multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=True),
    ).with_tenant("default")
    disk, memory = _disk(server.data), _memory(server)
    every = (one for some in crowd for one in way.stored(some))
    seconds, first = 0.0, 0
    task = progress.add_task(f"storing: {way.name}", total=None)
    while batch := list(islice(every, BATCH)):
        objects = [
            DataObject({"number": n}, vector={"vector": one})
            if way.vectors
            else DataObject({"number": n, "words": one})
            for n, one in enumerate(batch, first)
        ]
        began = time.perf_counter()
        answer = held.data.insert_many(objects)
        seconds += time.perf_counter() - began
        assert not answer.has_errors, answer.errors
        first += len(batch)
        progress.update(task, completed=first)
    return Cost(
        first,
        first / seconds,
        (_disk(server.data) - disk) / first,
        (_memory(server) - memory) / first,
    )


def _row(
    progress: Progress,
    client: weaviate.WeaviateClient,
    way: Way,
    queries: list[tuple[KeypointQuery, bool]],
    cost: Cost,
) -> Row:
    held = client.collections.use(way.collection).with_tenant("default")
    right: dict[str, list[bool]] = defaultdict(list)
    agreed: list[bool] = []
    taken: list[float] = []
    for one, agrees in progress.track(queries, description=f"searching: {way.name}"):
        found: set[int] = set()
        for question in way.queries(one):
            began = time.perf_counter()
            found.update(_found(held, way, question))
            taken.append(time.perf_counter() - began)
        right[one.edit].append(one.number in found)
        agreed.append(right[one.edit][-1] and agrees)
    every = [flag for flags in right.values() for flag in flags]
    weak = {edit: _percent(flags) for edit, flags in right.items() if not all(flags)}
    return Row(
        work=f"local features in Weaviate by {way.name}, {cost.pictures:,} pictures: "
        f"found among {TOP} each way, and by votes",
        unit="%",
        value=_percent(agreed),
        details={
            f"found among {TOP}, %": _percent(every),
            "edits not always found, %": weak,
            "stored a second": cost.rate,
            "bytes on disk a picture": cost.disk,
            "bytes of memory a picture": cost.memory,
            "a question one way, ms: median": median(taken) * 1e3,
            "95 of 100": sorted(taken)[int(len(taken) * 0.95)] * 1e3,
        },
    )


def _found(held: Collection[Any, Any], way: Way, question: Any) -> list[int]:  # noqa: ANN401 - words or a vector
    if not len(question):
        return []
    if way.vectors:
        answer = held.query.near_vector(
            question, target_vector="vector", limit=TOP, return_properties=["number"]
        )
    else:
        answer = held.query.bm25(
            question, query_properties=["words"], limit=TOP, return_properties=["number"]
        )
    return [int(one.properties["number"]) for one in answer.objects]


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags)


def _disk(folder: Path) -> float:
    """Return the bytes that a folder takes."""
    return float(subprocess.check_output(["du", "-sk", str(folder)]).split()[0]) * 1024


def _memory(server: servers.Weaviate) -> float:
    """Return the server's resident bytes, without mapped files."""
    held = psutil.Process(server.pid).memory_info()
    return float(held.rss - held.shared)
