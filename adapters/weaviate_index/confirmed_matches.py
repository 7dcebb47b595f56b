"""Backfill of the property `confirmed`, for records that an older Seenit stored without it."""

from __future__ import annotations

from collections.abc import Iterator

from weaviate import WeaviateClient
from weaviate.classes.config import ConsistencyLevel
from weaviate.classes.query import Filter
from weaviate.exceptions import UnexpectedStatusCodeError

from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import Collections
from adapters.weaviate_index.mapping import StoredRecord
from adapters.weaviate_index.record_reads import HELD, stored

PART = 2_000
"""Records of one read."""
_GONE = 404


def fill(client: WeaviateClient, held: Collections) -> None:
    """Set the property on every stored copy with confirmed matches besides its original.

    A record that is replaced meanwhile has it already.
    """
    store = held.quietly()
    records = client.collections.use(held.name(collections.RECORD))
    records = records.with_consistency_level(ConsistencyLevel.ALL)
    for tenant in records.tenants.get():
        own = records.with_tenant(tenant).data
        for one in _copies(store, tenant):
            if not one.state.contained:
                continue
            try:
                key = mapping.key(one.image_id, one.seq)
                own.update(key, properties={"confirmed": list(one.state.contained)})
            except UnexpectedStatusCodeError as error:
                if error.status_code != _GONE:
                    raise


def _copies(store: Collections, tenant: str) -> Iterator[StoredRecord]:
    """Yield the stored copies in order of projection."""
    copy = Filter.by_property("verdict").contains_any(["exact", "near_duplicate"])
    after = -1
    while True:
        found = store.where(
            collections.RECORD,
            tenant,
            copy & Filter.by_property("born").greater_than(after),
            PART,
            HELD,
            sort=collections.by("born"),
        )
        read = [stored(one) for one in found]
        yield from read
        if len(read) < PART:
            return
        after = read[-1].born
