"""Entries that tests project, and all that an index answers about them."""

from __future__ import annotations

from msgspec.structs import replace

from adapters.weaviate_index import (
    WeaviateIndex,
)
from core.index_port import Filters
from core.records import Fields, Record
from tests.doubles import records as made
from tests.doubles.records import (
    OTHER,
    SPACE,
    image_id,
    outcome,
    query,
    record,
    tombstone,
)


def whole(index: WeaviateIndex, pictures: int = 8) -> tuple[object, ...]:
    """Return all that the index answers about a few made pictures, as one value to compare."""
    ids = [image_id(n) for n in range(pictures)]
    return (
        index.watermark("default"),
        index.read_records("default", ids),
        index.read_tombstones("default", ids),
        [index.find_states("default", originals=[one]) for one in ids],
        index.list_records("default", Filters(), 200),
        index.list_outcomes("default", None, 200),
        index.find_candidates(
            "default",
            [query(n, vector=made.random_vector(n), space_id=SPACE) for n in range(pictures)],
        ),
        index.find_neighbours("default", SPACE, made.random_vector(1), limit=50),
        [one.image_id for one in index.search_keywords("default", "boots", limit=50)],
        index.list_values("default", "tag", 9),
        index.count_records("default"),
    )


def entry(index: WeaviateIndex, seq: int) -> None:
    """Project the seq-th of a few entries with changes of every kind."""
    fields = Fields(title="Boots", category=f"c{seq % 2}", tags=(f"t{seq % 3}",), owner_id="o")
    vectors = {SPACE: made.random_vector(seq), OTHER: made.random_vector(seq + 50)}
    records = [record(seq, seq, fields=fields, vectors=vectors)]
    removed = []
    if seq % 3 == 0:
        records.append(record(seq - 1, seq, original=1, fields=fields))
    if seq % 4 == 0:
        removed.append(tombstone(seq - 3, seq))
    index.project_entry("default", seq, records, removed, [outcome(seq, seq, failed=seq % 2 == 0)])


def put(index: WeaviateIndex, tenant: str, seq: int) -> None:
    """Project an entry that left one record."""
    held: Record = replace(record(seq, seq), tenant=tenant)
    index.project_entry(tenant, seq, [held], [], [])
