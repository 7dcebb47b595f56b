"""The collections of one generation of the index: asked, written and deleted from."""

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
"""Of all tenants: watermarks, plans, counts and spaces."""
RECORD: Final = "Record"
PRINT: Final = "Print"
ANCHOR: Final = "Anchor"
JOB: Final = "Job"
META: Final = "Meta"
"""Of all generations."""
WATERMARK: Final = "w"
"""Kind of what says in Head how far a tenant's projection has come."""
USED: Final = "used"
"""Kind of what says in Head that a tenant is in use."""
OF_TENANTS: Final = (RECORD, PRINT, ANCHOR, JOB)

Level = Literal["one", "quorum", "all"]
LEVELS: Final = {
    "one": ConsistencyLevel.ONE,
    "quorum": ConsistencyLevel.QUORUM,
    "all": ConsistencyLevel.ALL,
}
MOST = 10_000
"""Objects that Weaviate gives at most for one question (QUERY_MAXIMUM_RESULTS)."""
PART = 256
"""Objects in one write: their vectors and features are 2 MB."""

Found = Object[Any, Any]
Made = DataObject[Any, Any]
Ask = Callable[[Collection[Any, Any]], "T"]
T = TypeVar("T")


class Collections:
    """One generation, on any node."""

    def __init__(
        self,
        cluster: WeaviateCluster,
        prefix: str,
        number: int,
        consistency: Level,
        told: float | None = None,
    ) -> None:
        """`told`: seconds after which it is written again that a tenant is in use; None: never."""
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
        """The same, but what it is asked is no use of a tenant."""
        other = copy(self)
        other._tells = None  # noqa: SLF001  # of the same class
        return other

    def name(self, kind: str) -> str:
        """What a collection is called."""
        return self.prefix + kind

    def owns(self, name: str) -> bool:
        """Whether a collection is of this generation."""
        rest = name.removeprefix(self.prefix)
        return name.startswith(self.prefix) and not rest[:1].isdigit() and rest != META

    def ask(self, kind: str, tenant: str | None, question: Ask[T], missing: T) -> T:
        """An answer from a collection; `missing` where the tenant has nothing in it.

        Raise IndexUnavailableError where it is the node that does not know of the tenant yet.
        """
        if tenant is not None and self._tells is not None:
            self._tell(tenant, self._tells)

        def put(client: WeaviateClient) -> T:
            # One answer of Head will do: W was written last, and an older one is as true. Several
            # would be made alike, also on a node that has lost what lies at or below W.
            level = ConsistencyLevel.ONE if kind == HEAD else self._reading
            return question(self._open(client, kind, tenant, level))

        try:
            return self.cluster.run(put)
        except MissingError:
            if tenant is not None and self._known(kind, tenant):
                raise IndexUnavailableError(
                    f"a node of Weaviate does not know yet that there is a tenant {tenant}"
                ) from None
            return missing

    def many(
        self, kind: str, tenant: str | None, question: Callable[[Collection[Any, Any]], list[T]]
    ) -> list[T]:
        """A list of answers, empty where the tenant has nothing in a collection."""
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
        """Every object with one of these values in a property."""
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
        """At most so many objects that fulfil a condition."""
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
        """Objects by their ids, of those that are there."""
        wanted = list(dict.fromkeys(keys))
        found: dict[UUID, Found] = {}
        for start in range(0, len(wanted), PART):
            some = wanted[start : start + PART]
            condition = Filter.by_id().contains_any(some)
            answer = self.where(kind, tenant, condition, len(some), properties, **more)
            found.update((one.uuid, one) for one in answer)
        return found

    def count(self, kind: str, tenant: str, condition: Any) -> int:  # noqa: ANN401  # private type
        """How many objects fulfil a condition: bitmaps are counted, no object is read."""
        return self.ask(
            kind,
            tenant,
            lambda held: (
                held.aggregate.over_all(filters=condition, total_count=True).total_count or 0
            ),
            0,
        )

    def put(self, kind: str, tenant: str | None, made: Sequence[Made]) -> None:
        """Write to every replica, each object or IndexUnavailableError; what was there goes."""
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
        """Delete from every replica; what is not there is no error."""
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
        """Make room for a tenant in a collection, so that it does not answer "unknown"."""
        with self._lock:
            if (kind, tenant) in self._welcomed:
                return
        self.cluster.run(
            lambda client: client.collections.use(self.name(kind)).tenants.create([tenant])
        )
        with self._lock:
            self._welcomed.add((kind, tenant))

    def rests(self, kind: str, tenant: str) -> bool:
        """Whether a tenant was put to rest in a collection."""

        def look(client: WeaviateClient) -> bool:
            told = client.collections.use(self.name(kind)).tenants.get_by_names([tenant])
            return tenant in told and told[tenant].activity_status == TenantActivityStatus.INACTIVE

        return self.cluster.run(look)

    def _known(self, kind: str, tenant: str) -> bool:
        """Whether a tenant that a node knows nothing of is there: the schema may lag on a node.

        One that has a W has room in every collection but those of spaces; of these Raft is asked.
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
        """Of a space, None for one that nobody has written to."""
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

    def _tell(self, tenant: str, seconds: float) -> None:
        """Write that a tenant is in use, for those that put the others to rest."""
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

        # it is a courtesy, nobody waits for it: a node that hangs takes half a minute
        threading.Thread(target=write, name="used", daemon=True).start()

    def _open(
        self, client: WeaviateClient, kind: str, tenant: str | None, level: ConsistencyLevel
    ) -> Collection[Any, Any]:
        held: Collection[Any, Any] = client.collections.use(self.name(kind))
        if tenant is not None:
            held = held.with_tenant(tenant)
        return held.with_consistency_level(level)


def number(one: Found, name: str) -> int:
    """An integer property."""
    return int(one.properties[name])


def space(space_id: str) -> str:
    """The collection of a space: `visual-1f3a90bc` lies in `Visual1f3a90bc`."""
    return "".join(part.capitalize() for part in space_id.split("-"))


def by(*columns: str, ascending: bool = True) -> Any:  # noqa: ANN401  # private type
    """An order of objects."""
    order = Sort.by_property(columns[0], ascending=ascending)
    for column in columns[1:]:
        order = order.by_property(column, ascending=ascending)
    return order


def kind_of(part: str) -> str:
    """The collection that a part of a record lies in."""
    return {mapping.PRINT: PRINT, mapping.ANCHOR: ANCHOR}.get(part) or space(part)


def outdated(old: StoredRecord, keep: Mapping[str, Part]) -> Iterator[tuple[str, UUID]]:
    """The collection and id of an older object of a record, and of its parts that none keeps."""
    yield RECORD, mapping.key(old.image_id, old.seq)
    for name, part in old.parts.items():
        if keep.get(name) != part:
            yield kind_of(name), mapping.key(old.image_id, name, part[0])
