"""Collections of one generation of the index: reads, writes and deletes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from weaviate import WeaviateClient
from weaviate.classes.config import ConsistencyLevel
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, Sort
from weaviate.classes.tenants import TenantActivityStatus
from weaviate.collections import Collection
from weaviate.collections.classes.internal import Object

from adapters.weaviate_index import mapping
from adapters.weaviate_index.client import WeaviateCluster
from adapters.weaviate_index.mapping import Part, StoredRecord
from core.errors import IndexUnavailableError, MissingError

HEAD: Final = "Head"
"""Collection of all tenants' watermarks, plans, counts and spaces."""
RECORD: Final = "Record"
PRINT: Final = "Print"
ANCHOR: Final = "Anchor"
JOB: Final = "Job"
META: Final = "Meta"
"""Collection about all generations."""
WATERMARK: Final = "w"
"""Kind of the objects in Head with a tenant's watermark."""
USED: Final = "used"
"""Kind of the objects in Head with the last use of a tenant."""
OF_TENANTS: Final = (RECORD, PRINT, ANCHOR, JOB)

Level = Literal["one", "quorum", "all"]
LEVELS: Final = {
    "one": ConsistencyLevel.ONE,
    "quorum": ConsistencyLevel.QUORUM,
    "all": ConsistencyLevel.ALL,
}
MOST = 10_000
"""Most objects that Weaviate returns for one query (QUERY_MAXIMUM_RESULTS)."""
PART = 256
"""Objects in one write: their vectors and features are 2 MB."""

Found = Object[Any, Any]
Made = DataObject[Any, Any]
Ask = Callable[[Collection[Any, Any]], "T"]
T = TypeVar("T")


class Collections:
    """Client of the collections of one generation."""

    def __init__(
        self,
        cluster: WeaviateCluster,
        prefix: str,
        number: int,
        consistency: Level,
        told: float | None = None,
    ) -> None:
        """Create a client that records the use of a tenant every `told` seconds; None: never."""
        self.cluster = cluster
        self._tells = told
        self._used: dict[str, float] = {}
        self.number = number
        self.prefix = f"{prefix}{number}"
        self._reading = LEVELS[consistency]
        self._spaces: dict[str, int] = {}
        self._welcomed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def quietly(self) -> Collections:
        """Return a client whose reads are not recorded as use of a tenant."""
        other = copy(self)
        other._tells = None  # noqa: SLF001  # of the same class
        return other

    def name(self, kind: str) -> str:
        """Return the name of a collection in Weaviate."""
        return self.prefix + kind

    def owns(self, name: str) -> bool:
        """Return whether a collection belongs to this generation."""
        rest = name.removeprefix(self.prefix)
        return name.startswith(self.prefix) and not rest[:1].isdigit() and rest != META

    def ask(self, kind: str, tenant: str | None, question: Ask[T], missing: T) -> T:
        """Return the result of a query on a collection, `missing` if the tenant has nothing there.

        Raise IndexUnavailableError if only the node does not know the tenant yet.
        """
        if tenant is not None and self._tells is not None:
            self._record_use(tenant, self._tells)

        def put(client: WeaviateClient) -> T:
            # One replica of Head is enough: W is written last, and an older W is valid too. A read
            # of several would repair W on a node that has lost the objects at or below it.
            level = ConsistencyLevel.ONE if kind == HEAD else self._reading
            return question(self._open(client, kind, tenant, level))

        try:
            return self.cluster.run(put)
        except MissingError:
            if tenant is not None and self._known(kind, tenant):
                raise IndexUnavailableError(
                    f"a node of Weaviate does not know the tenant {tenant} yet; retry"
                ) from None
            return missing

    def many(
        self, kind: str, tenant: str | None, question: Callable[[Collection[Any, Any]], list[T]]
    ) -> list[T]:
        """Return a list of results, empty if the tenant has nothing in a collection."""
        nothing: list[T] = []
        return self.ask(kind, tenant, question, nothing)

    def find(
        self,
        kind: str,
        tenant: str | None,
        column: str,
        values: Sequence[str],
        properties: Sequence[str],
    ) -> list[Found]:
        """Return all objects with one of these values in a property."""
        found: list[Found] = []
        for start in range(0, len(values), PART):
            some = list(values[start : start + PART])
            limit = 2 * len(some) + 32
            while True:
                part = self.where(
                    kind, tenant, Filter.by_property(column).contains_any(some), limit, properties
                )
                if len(part) < limit or limit == MOST:
                    break
                limit = min(MOST, 8 * limit)
            found += part
        return found

    def where(
        self,
        kind: str,
        tenant: str | None,
        condition: Any,  # noqa: ANN401  # the client's own, private type
        limit: int,
        properties: Sequence[str],
        **more: Any,  # noqa: ANN401  # options of the client
    ) -> list[Found]:
        """Return at most `limit` objects that match a condition."""
        return self.many(
            kind,
            tenant,
            lambda held: (
                held.query.fetch_objects(
                    filters=condition, limit=limit, return_properties=list(properties), **more
                ).objects
            ),
        )

    def by_key(
        self,
        kind: str,
        tenant: str,
        keys: Iterable[UUID],
        properties: Sequence[str],
        **more: Any,  # noqa: ANN401  # options of the client
    ) -> dict[UUID, Found]:
        """Return the existing objects among these ids, by id."""
        wanted = list(dict.fromkeys(keys))
        found: dict[UUID, Found] = {}
        for start in range(0, len(wanted), PART):
            some = wanted[start : start + PART]
            condition = Filter.by_id().contains_any(some)
            answer = self.where(kind, tenant, condition, len(some), properties, **more)
            found.update((one.uuid, one) for one in answer)
        return found

    def count(self, kind: str, tenant: str, condition: Any) -> int:  # noqa: ANN401  # private type
        """Count the objects that match a condition, by bitmaps, without reading objects."""
        return self.ask(
            kind,
            tenant,
            lambda held: (
                held.aggregate.over_all(filters=condition, total_count=True).total_count or 0
            ),
            0,
        )

    def put(self, kind: str, tenant: str | None, made: Sequence[Made]) -> None:
        """Write all objects to every replica, replacing older ones. Raise IndexUnavailableError."""
        for start in range(0, len(made), PART):
            some = made[start : start + PART]

            def write(client: WeaviateClient, some: Sequence[Made] = some) -> None:
                held = self._open(client, kind, tenant, ConsistencyLevel.ALL)
                answer = held.data.insert_many(some)
                if answer.has_errors:
                    first = next(iter(answer.errors.values())).message
                    raise IndexUnavailableError(
                        f"Weaviate refused {len(answer.errors)} of {len(some)} objects "
                        f"of {kind}: {first}"
                    )

            self.cluster.run(write)

    def delete(self, kind: str, tenant: str | None, keys: Sequence[UUID]) -> None:
        """Delete objects from every replica; missing ones are ignored."""
        for start in range(0, len(keys), PART):
            some = list(keys[start : start + PART])

            def write(client: WeaviateClient, some: list[UUID] = some) -> None:
                held = self._open(client, kind, tenant, ConsistencyLevel.ALL)
                answer = held.data.delete_many(where=Filter.by_id().contains_any(some))
                if answer.failed:
                    raise IndexUnavailableError(
                        f"Weaviate could not delete {answer.failed} objects of {kind}"
                    )

            try:
                self.cluster.run(write)
            except MissingError:
                return

    def welcome(self, kind: str, tenant: str) -> None:
        """Create a tenant in a collection, which otherwise answers that it is unknown."""
        with self._lock:
            if (kind, tenant) in self._welcomed:
                return
        self.cluster.run(
            lambda client: client.collections.use(self.name(kind)).tenants.create([tenant])
        )
        with self._lock:
            self._welcomed.add((kind, tenant))

    def rests(self, kind: str, tenant: str) -> bool:
        """Return whether a tenant is unloaded in a collection."""

        def look(client: WeaviateClient) -> bool:
            found = client.collections.use(self.name(kind)).tenants.get_by_names([tenant])
            return (
                tenant in found and found[tenant].activity_status == TenantActivityStatus.INACTIVE
            )

        return self.cluster.run(look)

    def _known(self, kind: str, tenant: str) -> bool:
        """Return whether a tenant exists that a node does not know, as its schema may lag.

        A tenant with a W exists in every collection but those of spaces, which need Raft's answer.
        """
        if kind in OF_TENANTS:
            name = Filter.by_property("tenant").equal(tenant)
            mark = name & Filter.by_property("kind").equal(WATERMARK)
            return bool(self.where(HEAD, None, mark, 1, ["number"]))
        return self.cluster.run(
            lambda client: client.collections.use(self.name(kind)).tenants.exists(tenant)
        )

    # --- spaces ---------------------------------------------------------------------------------

    def dimensions(self, space_id: str) -> int | None:
        """Return the dimensions of a space, None for a space without vectors."""
        with self._lock:
            known = self._spaces.get(space_id)
        if known is not None:
            return known
        name = self.name(space(space_id))

        def look(client: WeaviateClient) -> int | None:
            if not client.collections.exists(name):
                return None
            told = client.collections.use(name).config.get(simple=True).description or ""
            return int(told.split()[0])

        found = self.cluster.run(look)
        if found is not None:
            with self._lock:
                self._spaces[space_id] = found
        return found

    def _record_use(self, tenant: str, seconds: float) -> None:
        """Record that a tenant is in use, unless it was recorded within `seconds`."""
        now = time.time()
        with self._lock:
            if self._used.get(tenant, 0.0) + seconds > now:
                return
            self._used[tenant] = now
        told = {"tenant": tenant, "kind": USED, "number": int(now), "name": "=", "data": ""}
        made = Made(uuid=mapping.key(tenant, USED), properties=told)

        def write() -> None:
            with contextlib.suppress(IndexUnavailableError):
                self.cluster.run(
                    lambda client: self._open(
                        client, HEAD, None, ConsistencyLevel.ONE
                    ).data.insert_many([made]),
                    seconds=0.0,
                )

        # no call waits for this record: a node that hangs takes half a minute
        threading.Thread(target=write, name="used", daemon=True).start()

    def _open(
        self, client: WeaviateClient, kind: str, tenant: str | None, level: ConsistencyLevel
    ) -> Collection[Any, Any]:
        held: Collection[Any, Any] = client.collections.use(self.name(kind))
        if tenant is not None:
            held = held.with_tenant(tenant)
        return held.with_consistency_level(level)


def number(one: Found, name: str) -> int:
    """Return an integer property of an object."""
    return int(one.properties[name])


def space(space_id: str) -> str:
    """Return the collection of a space: `visual-1f3a90bc` is in `Visual1f3a90bc`."""
    return "".join(part.capitalize() for part in space_id.split("-"))


def by(*columns: str, ascending: bool = True) -> Any:  # noqa: ANN401  # private type
    """Return a sort order by these properties."""
    order = Sort.by_property(columns[0], ascending=ascending)
    for column in columns[1:]:
        order = order.by_property(column, ascending=ascending)
    return order


def kind_of(part: str) -> str:
    """Return the collection of a part of a record."""
    return {mapping.PRINT: PRINT, mapping.ANCHOR: ANCHOR}.get(part) or space(part)


def outdated(old: StoredRecord, keep: Mapping[str, Part]) -> Iterator[tuple[str, UUID]]:
    """Yield collection and id of an outdated object of a record, and of its parts not kept."""
    yield RECORD, mapping.key(old.image_id, old.seq)
    for name, part in old.parts.items():
        if keep.get(name) != part:
            yield kind_of(name), mapping.key(old.image_id, name, part[0])
