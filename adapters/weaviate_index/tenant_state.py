"""State of a tenant: W, plans of entries, counts and active spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from weaviate.classes.query import Filter

from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import WATERMARK, Collections, Made
from adapters.weaviate_index.counters import Tally
from adapters.weaviate_index.mapping import key
from core.types import ActiveSpaces, SpaceKind

PLAN = "plan"
COUNTS = "counts"
STANDING = "standing"


class ProjectionState(NamedTuple):
    """Watermark and plans of a tenant."""

    watermark: int
    plans: Mapping[int, str]
    """Plans of the last few entries."""


class TenantState:
    """Reads and writes of the state of tenants in one generation."""

    def __init__(self, held: Collections) -> None:
        self._store = held

    def watermark(self, tenant: str) -> int:
        """Return W, which is written last; 0 for an unknown tenant."""
        found = self._said(tenant, [WATERMARK], ["number"])
        return _last(found)

    def tenants(self) -> list[str]:
        """Return the tenants that have a watermark, sorted."""
        return sorted(self.watermarks())

    def watermarks(self) -> dict[str, int]:
        """Return all watermarks by tenant, thousands in one query."""
        condition = Filter.by_property("kind").equal(WATERMARK)
        last: dict[str, int] = {}
        for one in self._each(condition, ["tenant", "number"]):
            tenant, seq = str(one.properties["tenant"]), collections.number(one, "number")
            last[tenant] = max(seq, last.get(tenant, 0))
        return last

    def used(self) -> dict[str, float]:
        """Return the last known write or read of each tenant, in seconds since the epoch."""
        condition = Filter.by_property("kind").contains_any([WATERMARK, collections.USED])
        found = self._each(
            condition, ["tenant", "kind", "number"], return_metadata=["creation_time"]
        )
        last: dict[str, float] = {}
        for one in found:
            tenant = str(one.properties["tenant"])
            made = one.metadata.creation_time
            told = (
                float(collections.number(one, "number"))
                if one.properties["kind"] == collections.USED or made is None
                else made.timestamp()
            )
            last[tenant] = max(told, last.get(tenant, 0.0))
        return last

    def read(self, tenant: str) -> ProjectionState:
        """Return W and the stored plans."""
        found = self._said(tenant, [WATERMARK, PLAN], ["kind", "number", "data"])
        marks = [one for one in found if one.properties["kind"] == WATERMARK]
        return ProjectionState(
            _last(marks),
            {
                collections.number(one, "number"): str(one.properties["data"])
                for one in found
                if one.properties["kind"] == PLAN
            },
        )

    def plan(self, tenant: str, seq: int, plan: str) -> None:
        """Write the plan of an entry."""
        self._store.put(collections.HEAD, None, [_said(tenant, PLAN, seq, "", plan)])

    def write_counts(
        self,
        tenant: str,
        seq: int,
        tallies: Mapping[str, Mapping[str, int]],
        standings: Sequence[ActiveSpaces],
    ) -> None:
        """Write the counts of changed categories and the active spaces after an entry."""
        told = [_said(tenant, STANDING, seq, one.kind, mapping.standing(one)) for one in standings]
        told += [
            _said(tenant, COUNTS, seq, name, msgspec.json.encode(tally).decode())
            for name, tally in tallies.items()
        ]
        self._store.put(collections.HEAD, None, told)

    def advance(self, tenant: str, seq: int) -> None:
        """Set W to `seq`, whose changes are all visible."""
        self._store.put(collections.HEAD, None, [_said(tenant, WATERMARK, seq, "", "")])

    def tallies(
        self, tenant: str, watermark: int, wanted: Iterable[str] | None = None
    ) -> dict[str, tuple[int, Tally]]:
        """Return (entry, counts) by category as of `watermark`, of all or the wanted ones."""
        names = None if wanted is None else sorted(wanted)
        if names is not None and not names:
            return {}
        found = self._said(tenant, [COUNTS], ["number", "name", "data"], names)
        best: dict[str, tuple[int, str]] = {}
        for one in found:
            seq, name = collections.number(one, "number"), str(one.properties["name"])[1:]
            if names is not None and name not in names:
                continue  # Weaviate ignores blanks at an end
            if seq <= watermark and seq > best.get(name, (-1, ""))[0]:
                best[name] = seq, str(one.properties["data"])
        return {
            name: (seq, Counter(msgspec.json.decode(data, type=dict[str, int])))
            for name, (seq, data) in best.items()
        }

    def standings(self, tenant: str, watermark: int) -> dict[SpaceKind, ActiveSpaces]:
        """Return the active spaces by kind, as of an entry."""
        best: dict[SpaceKind, tuple[int, ActiveSpaces]] = {}
        for one in self._said(tenant, [STANDING], ["number", "data"]):
            seq, read = (
                collections.number(one, "number"),
                mapping.read_standing(one.properties["data"]),
            )
            if seq <= watermark and seq > best.get(read.kind, (-1, read))[0]:
                best[read.kind] = seq, read
        return {kind: read for kind, (_, read) in best.items()}

    def clear(self, tenant: str, seq: int, older: Mapping[str, int]) -> None:
        """Delete what W = `seq` outdates; `older` has the entries of the previous counts."""
        empty = mapping.digest(b"")
        self._store.delete(
            collections.HEAD,
            None,
            [
                key(tenant, WATERMARK, empty, seq - 1),
                key(tenant, PLAN, empty, seq - 1),
                *(
                    key(tenant, COUNTS, mapping.digest(name.encode()), before)
                    for name, before in older.items()
                ),
            ],
        )

    def tidy(self, tenant: str) -> int:
        """Delete all outdated state as of W, and return how many objects."""
        found = self._said(tenant, None, ["kind", "number", "name"])
        watermark = _last(one for one in found if one.properties["kind"] == WATERMARK)
        newest: dict[tuple[str, str], int] = {}
        for one in found:
            number = collections.number(one, "number")
            if number <= watermark:
                newest[_about(one)] = max(number, newest.get(_about(one), 0))
        old = [
            one.uuid
            for one in found
            if collections.number(one, "number") < newest.get(_about(one), 0)
        ]
        self._store.delete(collections.HEAD, None, old)
        return len(old)

    def _each(
        self,
        condition: Any,  # noqa: ANN401  # private type
        properties: Sequence[str],
        **more: Any,  # noqa: ANN401  # options of the client
    ) -> Iterator[collections.Found]:
        """Yield objects by tenant, some thousand at a time; a part's last tenant may lack some."""
        wanted = condition
        while True:
            found = self._store.where(
                collections.HEAD,
                None,
                wanted,
                collections.MOST,
                properties,
                sort=collections.by("tenant"),
                **more,
            )
            yield from found
            if len(found) < collections.MOST:
                return
            last = str(found[-1].properties["tenant"])
            wanted = condition & Filter.by_property("tenant").greater_than(last)

    def _by_number(self, condition: Any, properties: Sequence[str]) -> Iterator[collections.Found]:  # noqa: ANN401  # private type
        """Yield all objects by number, some thousand at a time: no entry has more."""
        seen: set[UUID] = set()
        least = -1
        while True:
            wanted = condition & Filter.by_property("number").greater_or_equal(least)
            order = collections.by("number")
            found = self._store.where(
                collections.HEAD, None, wanted, collections.MOST, properties, sort=order
            )
            fresh = [one for one in found if one.uuid not in seen]
            yield from fresh
            if len(found) < collections.MOST or not fresh:
                return
            seen.update(one.uuid for one in fresh)
            least = collections.number(found[-1], "number")

    def _said(
        self,
        tenant: str,
        kinds: Sequence[str] | None,
        properties: Sequence[str],
        names: Sequence[str] | None = None,
    ) -> list[collections.Found]:
        condition = Filter.by_property("tenant").equal(tenant)
        if kinds is not None:
            condition &= Filter.by_property("kind").contains_any(list(kinds))
        if names is not None:
            condition &= Filter.by_property("name").contains_any([f"={one}" for one in names])
        found = self._store.where(collections.HEAD, None, condition, collections.MOST, properties)
        if len(found) < collections.MOST:
            return found
        return list(self._by_number(condition, sorted({*properties, "number"})))


def _said(tenant: str, kind: str, seq: int, name: str, data: str) -> Made:
    return Made(
        uuid=key(tenant, kind, mapping.digest(name.encode()), seq),
        properties={
            "tenant": tenant,
            "kind": kind,
            "number": seq,
            "name": f"={name}",
            "data": data,
        },
    )


def _last(marks: Iterable[collections.Found]) -> int:
    """Return W of these objects, 0 if there are none."""
    return max((collections.number(one, "number") for one in marks), default=0)


def _about(one: collections.Found) -> tuple[str, str]:
    return str(one.properties["kind"]), str(one.properties["name"])
