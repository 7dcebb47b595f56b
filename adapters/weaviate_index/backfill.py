"""Backfill of properties that an older Seenit stored without, or with other words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from weaviate import WeaviateClient
from weaviate.classes.config import ConsistencyLevel
from weaviate.classes.query import Filter
from weaviate.collections import Collection
from weaviate.exceptions import UnexpectedStatusCodeError

from adapters.full_text import indexed_texts
from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import Collections
from adapters.weaviate_index.mapping import StoredRecord
from adapters.weaviate_index.record_reads import RecordReads, all_of
from adapters.weaviate_index.stemming import stemmed
from core.types import COPY_KINDS

logger = logging.getLogger(__name__)

PART = 2_000
"""Records of one read."""
_WRITERS = 8
"""Records written at once; a write waits for every replica."""
_GONE = 404

_COPY = Filter.by_property("verdict").contains_any(list(COPY_KINDS))
_ANY = Filter.by_property("born").greater_than(-1)

Changes = Iterator[tuple[StoredRecord, dict[str, Any]]]


def fill_confirmed(client: WeaviateClient, held: Collections) -> None:
    """Set `confirmed` on every stored copy with confirmed matches besides its original."""

    def confirmed(part: Sequence[StoredRecord]) -> Changes:
        for one in part:
            if one.state.contained:
                yield one, {"confirmed": list(one.state.contained)}

    _fill(client, held, _COPY, confirmed)


def fill_words(client: WeaviateClient, held: Collections) -> None:
    """Set the words of every record that has letters other than those of ASCII.

    The others have the words they had: those rules changed for other letters alone.
    """

    def words(part: Sequence[StoredRecord]) -> Changes:
        some = [one for one in part if not _ascii(one)]
        texts = [indexed_texts(one.fields) or ("",) * 4 for one in some]
        for one, found in zip(some, stemmed(texts), strict=True):
            yield one, dict(zip(mapping.WORDS, found, strict=True))

    _fill(client, held, _ANY, words)


def _ascii(one: StoredRecord) -> bool:
    fields = one.fields
    texts = (fields.title, fields.description, fields.category, *fields.tags)
    return all(text is None or text.isascii() for text in texts)


def _fill(
    client: WeaviateClient,
    held: Collections,
    condition: Any,  # noqa: ANN401  # private type
    changes: Callable[[Sequence[StoredRecord]], Changes],
) -> None:
    """Set properties of the live records that match a condition.

    A record that is replaced meanwhile has them already.
    """
    records = client.collections.use(held.name(collections.RECORD))
    records = records.with_consistency_level(ConsistencyLevel.ALL)
    with ThreadPoolExecutor(_WRITERS) as pool:
        reading = RecordReads(held.quietly(), pool)
        for tenant in records.tenants.get():
            write = partial(_write, records.with_tenant(tenant))
            for part in _parts(reading, tenant, condition):
                done = all_of(pool.submit(write, *change) for change in changes(part))
                logger.info("index_backfill", extra={"tenant": tenant, "records": len(done)})


def _write(records: Collection[Any, Any], one: StoredRecord, properties: dict[str, Any]) -> None:
    try:
        records.data.update(mapping.key(one.image_id, one.seq), properties=properties)
    except UnexpectedStatusCodeError as error:
        if error.status_code != _GONE:
            raise


def _parts(
    reading: RecordReads,
    tenant: str,
    condition: Any,  # noqa: ANN401  # private type
) -> Iterator[Sequence[StoredRecord]]:
    """Yield the live records in order of projection, at most `PART` at once."""
    ids = (str(one.properties["image_id"]) for one in reading.slices(tenant, condition))
    while part := list(islice(ids, PART)):
        yield list(reading.live(tenant, part).values())
