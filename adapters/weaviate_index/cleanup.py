"""Cleanup of objects left by delayed or dead writers, and unloading of idle tenants."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from weaviate import WeaviateClient
from weaviate.classes.query import Filter
from weaviate.classes.tenants import TenantActivityStatus

from adapters.weaviate_index import collections, counters, lists
from adapters.weaviate_index.collections import outdated
from adapters.weaviate_index.record_reads import RecordReads
from adapters.weaviate_index.tenant_state import TenantState

_PART = 512
"""Records checked at once."""
_LOOKS = 8
_PAUSE = 0.25
"""Attempts to count a tenant that is being written to, and seconds between them."""


class Cleanup:
    """Cleanup of one generation."""

    def __init__(self, reading: RecordReads, head: TenantState) -> None:
        self._reading = reading
        self._store = reading.store
        self._head = head

    def tidy(self, tenant: str) -> int:
        """Delete outdated objects and those of deleted records; return how many.

        If the numbers of objects and records agree, as they mostly do, no record is read. An
        unloaded tenant is not loaded: no process has written to it.
        """
        deleted = self._head.tidy(tenant)
        if self._store.rests(collections.RECORD, tenant):
            return deleted
        if self._tidy(tenant) is not False:  # also if constant writes prevented a count
            return deleted
        every = lists.BIRTHS
        for part in every.parts(self._store, tenant, None, _PART):
            ids = {str(one.properties["image_id"]) for one in part}
            deleted += self._clear(tenant, sorted(ids))
        return deleted

    def _tidy(self, tenant: str) -> bool | None:
        """Return whether there are as many objects as records; None under constant writes.

        An entry that is being written adds objects, which is no reason to check every record.
        """
        every = Filter.by_property("born").greater_than(-1)
        for attempt in range(_LOOKS):
            if attempt:
                time.sleep(_PAUSE)
            before = self._head.read(tenant)
            told = self._head.tallies(tenant, before.watermark, [counters.ALL])
            expected = told[counters.ALL][1].total() if told else 0
            if self._store.count(collections.RECORD, tenant, every) == expected:
                return True
            after = self._head.read(tenant)
            under_way = before.watermark + 1 in {*before.plans, *after.plans}
            if after.watermark == before.watermark and not under_way:
                return False
        return None

    def rest(self, hours: float) -> list[str]:
        """Unload tenants neither written to nor read for `hours`, and return them; 0: none."""
        if hours <= 0:
            return []
        idle = [
            tenant
            for tenant, used in self._head.used().items()
            if used < time.time() - 3600 * hours
        ]
        if idle:
            self._store.cluster.run(lambda client: self._deactivate(client, idle))
        return idle

    def _clear(self, tenant: str, image_ids: Sequence[str]) -> int:
        """Delete outdated objects of these records, parts first: they are found by the record."""
        gone: dict[str, list[UUID]] = {}
        for those in self._reading.objects(tenant, image_ids).values():
            newest = max(those, key=lambda one: one.rank)
            for old in those:
                if old is not newest:
                    for kind, uuid in outdated(old, newest.parts):
                        gone.setdefault(kind, []).append(uuid)
        records = gone.pop(collections.RECORD, [])
        for kind, keys in gone.items():
            self._store.delete(kind, tenant, keys)
        self._store.delete(collections.RECORD, tenant, records)
        return len(records) + sum(len(keys) for keys in gone.values())

    def _deactivate(self, client: WeaviateClient, tenants: Sequence[str]) -> None:
        for name in client.collections.list_all(simple=True):
            if self._store.owns(name) and name != self._store.name(collections.HEAD):
                held = client.collections.use(name)
                told = held.tenants.get_by_names(list(tenants))
                awake = [
                    name
                    for name, one in told.items()
                    if one.activity_status == TenantActivityStatus.ACTIVE
                ]
                if awake:
                    held.tenants.deactivate(awake)
