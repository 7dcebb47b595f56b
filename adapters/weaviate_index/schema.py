"""Schema of the collections in numbered migrations, each safe to run twice and in parallel.

A generation is one whole index; its number is in the names of its collections. One small collection
has the applied migrations of each generation, and which generation is active.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from weaviate import WeaviateClient
from weaviate.classes.config import (
    Configure,
    ConsistencyLevel,
    DataType,
    Property,
    StopwordsPreset,
    Tokenization,
    VectorDistances,
)
from weaviate.classes.query import Filter
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateBaseError,
    WeaviateInvalidInputError,
)

from adapters.weaviate_index import backfill, collections, visual_words
from adapters.weaviate_index.collections import META, Collections, Made
from adapters.weaviate_index.grpc_errors import GRPCError
from adapters.weaviate_index.mapping import WORDS, key
from core.errors import IndexUnavailableError

CONNECTIONS = 32
CONSTRUCTION = 128
"""Parameters of every graph: links of a node, and nodes compared to find them. Measured with these:
of 100,000 random hashes, those within 12 bits were found 100 times of 100."""
B = 0.75
K1 = 1.2
"""Parameters of BM25, those of SQLite's full-text tables."""


class SchemaLayout(NamedTuple):
    """Options of a new schema."""

    replication: int


def _exact(name: str, kind: DataType = DataType.TEXT) -> Property:
    """Return a property of text that is compared whole."""
    return Property(
        name=name,
        data_type=kind,
        tokenization=Tokenization.FIELD,
        index_filterable=True,
        index_searchable=False,
    )


def _number(name: str) -> Property:
    return Property(
        name=name, data_type=DataType.INT, index_filterable=True, index_range_filters=True
    )


def _words(name: str) -> Property:
    return Property(
        name=name,
        data_type=DataType.TEXT,
        tokenization=Tokenization.WHITESPACE,
        index_filterable=False,
        index_searchable=True,
    )


def _kept(name: str, kind: DataType = DataType.TEXT) -> Property:
    """Return a property that is stored without an index."""
    searchable = False if kind == DataType.TEXT else None
    return Property(name=name, data_type=kind, index_filterable=False, index_searchable=searchable)


_FILTERS = [
    _exact("image_id"),
    _number("accepted"),
    *(
        _exact(name)
        for name in (
            "sha256",
            "original_id",
            "verdict",
            "decision",
            "category",
            "owner_id",
            "external_id",
        )
    ),
    _exact("tags", DataType.TEXT_ARRAY),
]
"""Properties for filters, of records and of vectors."""


def create(client: WeaviateClient, name: str, layout: SchemaLayout, **more: Any) -> None:  # noqa: ANN401  # options of the client
    """Create a collection unless it exists."""
    try:
        client.collections.create(
            name,
            replication_config=Configure.replication(factor=layout.replication),
            inverted_index_config=more.pop("inverted", None),
            **more,
        )
    except UnexpectedStatusCodeError as error:
        if "already exists" not in str(error):
            raise


def _tenants() -> Any:  # noqa: ANN401  # private type
    return Configure.multi_tenancy(
        enabled=True, auto_tenant_creation=True, auto_tenant_activation=True
    )


def graph(distance: VectorDistances) -> Any:  # noqa: ANN401  # private type
    """Return an HNSW index with the server's default quantization."""
    return Configure.VectorIndex.hnsw(
        distance_metric=distance, max_connections=CONNECTIONS, ef_construction=CONSTRUCTION
    )


def space(
    client: WeaviateClient, held: Collections, layout: SchemaLayout, space_id: str, wide: int
) -> None:
    """Create the collection of a space of `wide` dimensions, with the properties for filters."""
    create(
        client,
        held.name(collections.space(space_id)),
        layout,
        description=f"{wide} dimensions of {space_id}",
        properties=_FILTERS,
        vector_config=[
            Configure.Vectors.self_provided(
                name="vector", vector_index_config=graph(VectorDistances.DOT)
            )
        ],
        multi_tenancy_config=_tenants(),
    )


_PROPERTIES = {
    collections.HEAD: [
        _exact("tenant"),
        _exact("kind"),
        _number("number"),
        _exact("name"),
        _kept("data"),
    ],
    collections.RECORD: [
        *_FILTERS,
        _exact("pixels"),
        _kept("seq", DataType.INT),
        _number("born"),
        Property(name="gone", data_type=DataType.BOOL, index_filterable=True),
        _exact("spaces", DataType.TEXT_ARRAY),
        _exact("held", DataType.TEXT_ARRAY),
        _exact("able", DataType.TEXT_ARRAY),
        *map(_words, WORDS),
        _kept("parts"),
        _kept("data"),
    ],
    collections.PRINT: [_exact("image_id"), _kept("data")],
    collections.ANCHOR: [_exact("image_id"), _kept("phash"), *visual_words.PROPERTIES],
    collections.JOB: [
        _exact("job_id"),
        _kept("seq", DataType.INT),
        _exact("status"),
        _number("accepted"),
        _kept("data"),
    ],
}


def _first(client: WeaviateClient, held: Collections, layout: SchemaLayout) -> None:
    hashes = Configure.Vectors.self_provided(
        name="phash",
        quantizer=Configure.VectorIndex.Quantizer.none(),
        vector_index_config=graph(VectorDistances.HAMMING),
    )
    options: dict[str, dict[str, Any]] = {
        collections.HEAD: {},
        collections.RECORD: {"inverted": _bm25(B), "multi_tenancy_config": _tenants()},
        collections.PRINT: {"multi_tenancy_config": _tenants()},
        collections.ANCHOR: {
            "vector_config": [hashes],
            "inverted": _bm25(0.0),
            "multi_tenancy_config": _tenants(),
        },
        collections.JOB: {"multi_tenancy_config": _tenants()},
    }
    for kind, more in options.items():
        create(client, held.name(kind), layout, properties=_PROPERTIES[kind], **more)


def _bm25(b: float) -> Any:  # noqa: ANN401  # private type
    """Return an inverted index for BM25 with length weight `b`, without stop words."""
    return Configure.inverted_index(bm25_b=b, bm25_k1=K1, stopwords_preset=StopwordsPreset.NONE)


def _second(client: WeaviateClient, held: Collections, layout: SchemaLayout) -> None:
    """Add the ids of the pictures that a record's verdict names as variants."""
    del layout
    _add_ids(client, held, "variants")


def _third(client: WeaviateClient, held: Collections, layout: SchemaLayout) -> None:
    """Add the confirmed matches besides the original, and fill them in."""
    del layout
    _add_ids(client, held, "confirmed")
    backfill.fill_confirmed(client, held)


def _fourth(client: WeaviateClient, held: Collections, layout: SchemaLayout) -> None:
    """Fold and part the words of records again, as `adapters.full_text` does from now on."""
    del layout
    backfill.fill_words(client, held)


def _add_ids(client: WeaviateClient, held: Collections, name: str) -> None:
    """Add a list of ids to the records, unless another process was faster."""
    config = client.collections.use(held.name(collections.RECORD)).config
    try:
        config.add_property(_exact(name, DataType.TEXT_ARRAY))
    except (WeaviateInvalidInputError, UnexpectedStatusCodeError):
        if all(one.name != name for one in config.get().properties):
            raise


Step = Callable[[WeaviateClient, Collections, SchemaLayout], None]
STEPS: tuple[Step, ...] = (_first, _second, _third, _fourth)
"""Migrations; released ones are never changed."""


LOST = "could not find class"
"""Text of a server's error about a missing collection."""


class GenerationTable:
    """Table of the generations, in one collection."""

    def __init__(self, prefix: str, layout: SchemaLayout) -> None:
        self._name = prefix + META
        self._layout = layout
        self._there = False

    def active(self, client: WeaviateClient) -> int | None:
        """Return the active generation, None before there is one."""
        # a read of the schema needs Raft's leader, whose replacement takes seconds
        if not self._there and not client.collections.exists(self._name):
            return None
        self._there = True
        return max((number for number, _ in self._said(client, "active")), default=None)

    def generations(self, client: WeaviateClient) -> list[int]:
        """Return the numbers of all generations."""
        return sorted({number for number, _ in self._said(client, "step")})

    def version(self, client: WeaviateClient, generation: int) -> int:
        """Return the number of migrations applied to a generation."""
        return max((n for g, n in self._said(client, "step") if g == generation), default=0)

    def prepare(self, client: WeaviateClient, held: Collections) -> None:
        """Apply the missing migrations. Raise IndexUnavailableError for a newer version."""
        create(
            client,
            self._name,
            self._layout,
            properties=[_exact("kind"), _number("generation"), _number("number")],
        )
        version = self.version(client, held.number)
        if version > len(STEPS):
            raise IndexUnavailableError(
                f"the index in Weaviate is of version {version}, this Seenit knows {len(STEPS)}: "
                "use the newer Seenit"
            )
        for n in range(version, len(STEPS)):
            STEPS[n](client, held, self._layout)
            self._say(client, "step", held.number, n + 1)

    def activate(self, client: WeaviateClient, generation: int) -> None:
        """Make a generation the active one."""
        self._say(client, "active", generation, 0)

    def seal(self, client: WeaviateClient, generation: int) -> tuple[int, int]:
        """Seal a generation against projection; return (generation, seconds), unique per seal."""
        last = self.sealed(client)
        told = int(time.time())
        if last is not None and last[0] == generation:
            told = max(told, last[1] + 1)
        self._say(client, "seal", generation, told)
        return generation, told

    def sealed(self, client: WeaviateClient) -> tuple[int, int] | None:
        """Return the last seal as (generation, seconds since the epoch), None if there is none."""
        return max(self._said(client, "seal"), default=None)

    def forget(self, client: WeaviateClient, held: Collections) -> None:
        """Delete a generation's collections, then its rows in the table."""
        for name in client.collections.list_all(simple=True):
            if held.owns(name):
                client.collections.delete(name)
        said = client.collections.use(self._name).with_consistency_level(ConsistencyLevel.ALL)
        said.data.delete_many(where=Filter.by_property("generation").equal(held.number))

    def drop(self, client: WeaviateClient) -> None:
        """Delete the table of generations."""
        client.collections.delete(self._name)

    def _said(self, client: WeaviateClient, kind: str) -> list[tuple[int, int]]:
        held = client.collections.use(self._name)
        try:
            answer = held.query.fetch_objects(
                filters=Filter.by_property("kind").equal(kind), limit=collections.MOST
            )
        except (WeaviateBaseError, GRPCError) as error:
            if LOST not in str(error):
                raise
            self._there = False  # the servers have lost it, or a node does not know it yet
            return []
        return [
            (collections.number(one, "generation"), collections.number(one, "number"))
            for one in answer.objects
        ]

    def _say(self, client: WeaviateClient, kind: str, generation: int, number: int) -> None:
        """Write a row to every replica."""
        held = client.collections.use(self._name).with_consistency_level(ConsistencyLevel.ALL)
        told = {"kind": kind, "generation": generation, "number": number}
        one = Made(uuid=key("meta", kind, generation, number), properties=told)
        answer = held.data.insert_many([one])
        if answer.has_errors:
            raise IndexUnavailableError(
                f"Weaviate refused a row of the table of generations: {answer.errors[0].message}"
            )
