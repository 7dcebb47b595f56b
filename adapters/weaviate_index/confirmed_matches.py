"""Backfill of the property `confirmed`, for records that an older Seenit stored without it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from weaviate import WeaviateClient
from weaviate.classes.config import ConsistencyLevel
from weaviate.classes.query import Filter
from weaviate.exceptions import UnexpectedStatusCodeError

from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import Collections
from adapters.weaviate_index.mapping import StoredRecord
from adapters.weaviate_index.record_reads import RecordReads
from core.types import COPY_KINDS

PART = 2_000
"""Records of one read."""
_GONE = 404


def fill(client: WeaviateClient, held: Collections) -> None:
    """Set the property on every stored copy with confirmed matches besides its original.

    A record that is replaced meanwhile has it already.
    """
    records = client.collections.use(held.name(collections.RECORD))
    records = records.with_consistency_level(ConsistencyLevel.ALL)
    with ThreadPoolExecutor(1) as pool:
        reading = RecordReads(held.quietly(), pool)
        for tenant in records.tenants.get():
            own = records.with_tenant(tenant).data
            for one in _copies(reading, tenant):
                if not one.state.contained:
                    continue
                try:
                    key = mapping.key(one.image_id, one.seq)
                    own.update(key, properties={"confirmed": list(one.state.contained)})
                except UnexpectedStatusCodeError as error:
                    if error.status_code != _GONE:
                        raise


def _copies(reading: RecordReads, tenant: str) -> Iterator[StoredRecord]:
    """Yield the live copies in order of projection."""
    copy = Filter.by_property("verdict").contains_any(list(COPY_KINDS))
    ids = (str(one.properties["image_id"]) for one in reading.slices(tenant, copy))
    while part := list(islice(ids, PART)):
        yield from reading.live(tenant, part).values()
