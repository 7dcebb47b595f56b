"""Implementation of the port `Index` on Weaviate: several machines, approximate neighbours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec.structs import replace

from adapters.weaviate_index import collections, keyword_search, lists
from adapters.weaviate_index.client import WeaviateCluster
from adapters.weaviate_index.collections import Collections, Level
from adapters.weaviate_index.counters import stats
from adapters.weaviate_index.generation import Generation
from adapters.weaviate_index.generations import Generations
from adapters.weaviate_index.nodes import WeaviateNode
from adapters.weaviate_index.projection import ProjectedEntry
from adapters.weaviate_index.schema import GenerationTable, SchemaLayout
from core.errors import IndexDamagedError, IndexUnavailableError
from core.index_port import Filters, Index, IndexPage, MissingVectors, Neighbour, RecordCard, Stats
from core.matching.policy import Policy
from core.records import Outcome, Record, State, Tombstone
from core.types import ActiveSpaces, Hit, Query, SpaceKind, Vector

THREADS = 32
"""Queries in parallel: a picture needs ten, each of which waits some milliseconds."""
SOUND_SECONDS = 5.0
"""Seconds for which the collections are not looked for again: readiness asks often."""
_ASKED = 3
"""Tenants that are tried until one is loaded."""


class WeaviateIndex:
    """Index on the servers named by `nodes`, for any number of reading and writing processes.

    The first call connects, and creates or migrates the schema. While no server answers, every call
    raises IndexUnavailableError within seconds.
    """

    def __init__(
        self,
        nodes: Sequence[WeaviateNode],
        policy: Policy,
        *,
        key: str = "",
        secure: bool = False,
        prefix: str = "Seenit",
        consistency: Level = "quorum",
        replication: int = 1,
        features: bool = True,
        idle_hours: float = 0.0,
        _generation: int | None = None,
    ) -> None:
        """Prepare a client with the API key `key`; `prefix` begins the names of collections.

        `consistency` is that of reads; writes reach every replica before W advances. `replication`
        applies to new collections. `features` finds candidates by local features too. `idle_hours`
        is the limit of `rest`.
        """
        self._nodes = list(nodes)
        self._key = key
        self._secure = secure
        self._lagging: dict[str, int] | None = None
        self._sound = float("-inf")
        """Time of the last look that found every collection."""
        self._cluster = WeaviateCluster(nodes, key=key, secure=secure)
        self._policy = policy
        self._prefix = prefix
        self._consistency: Level = consistency
        self._layout = SchemaLayout(replication)
        self._features = features
        self._idle_hours = idle_hours
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="weaviate")
        self._closed = False
        meta = GenerationTable(prefix, self._layout)
        self._generations = Generations(self._cluster, meta, self._make, _generation)

    # --- tenants --------------------------------------------------------------------------------

    def watermark(self, tenant: str) -> int:
        """Return W, up to which every entry is visible on all replicas; 0 for an unknown tenant."""
        return self._generations.watermark(tenant)

    def tenants(self) -> list[str]:
        """Return the tenants that have a watermark, sorted."""
        return self._now.head.tenants()

    def check_sound(self) -> None:
        """Raise IndexDamagedError if a collection is missing, or was made by the server itself.

        Weaviate makes one for an object that is written into a missing one. The answer stands for
        a few seconds, and none, while the servers elect a leader of their schema, is no damage.
        """
        if time.monotonic() > self._sound + SOUND_SECONDS:
            try:
                lost = self._cluster.run(self._now.lost)
            except IndexUnavailableError:
                return
            if lost:
                raise IndexDamagedError(
                    f"the index in Weaviate has lost the collections {', '.join(lost)}: "
                    "`seenit reindex` makes it again from the log"
                )
            self._sound = time.monotonic()

    def check_replicas(self) -> None:
        """Raise IndexUnavailableError while a node with replicas is down, or came back empty.

        An emptied node lacks the mark of a tenant that this process has served.
        """
        replicas = self._now.replicas
        replicas.whole()
        for tenant in self._generations.reported()[:_ASKED]:
            if replicas.kept(tenant):
                return

    def project_entry(
        self,
        tenant: str,
        seq: int,
        records: Sequence[Record],
        removed: Sequence[Tombstone],
        outcomes: Sequence[Outcome],
        *,
        standings: Sequence[ActiveSpaces] = (),
    ) -> None:
        """Write the changes of entry `seq` to every replica, and advance W once they are visible.

        Do nothing if it is not the next entry. Raise IndexUnavailableError if a replica is down: W
        cannot advance.
        """
        self._generations.refuse_sealed()
        entry = ProjectedEntry(tenant, seq, records, removed, outcomes, standings)
        self._now.writing.project(entry)

    def active_spaces(self, tenant: str) -> dict[SpaceKind, ActiveSpaces]:
        """Return the active spaces by kind, of the kinds that the log has set."""
        head = self._now.head
        return head.standings(tenant, head.watermark(tenant))

    def count_records(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Return the counts as of W, also of these spaces if no record has a vector in them."""
        head = self._now.head
        while True:
            watermark = head.watermark(tenant)
            told = head.tallies(tenant, watermark)
            if head.watermark(tenant) == watermark:  # else these counts may be outdated
                return stats({name: one for name, (_, one) in told.items()}, watermark, spaces)

    def list_values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Return at most `limit` values of a property, sorted."""
        return lists.values(self._now.reading, self._now.head, tenant, by, limit)

    # --- records --------------------------------------------------------------------------------

    def read_states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """Return the states in order of the ids; None for unknown and deleted records."""
        live = self._now.reading.live(tenant, image_ids)
        return [live[one].state if one in live else None for one in image_ids]

    def read_cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """Return the cards in order of the ids; None for unknown and deleted records."""
        live = self._now.reading.live(tenant, image_ids)
        return [live[one].card if one in live and live[one].shown else None for one in image_ids]

    def read_tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """Return the tombstones in order of the ids; None for records that were not deleted."""
        newest = self._now.reading.newest(tenant, image_ids)
        return [
            newest[one].tombstone if one in newest and not newest[one].shown else None
            for one in image_ids
        ]

    def find_states(
        self,
        tenant: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
        confirmed: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests, originals or confirmed matches, in order.

        A record's original is one of its confirmed matches. The order is that of projection.
        """
        return self._now.reading.find_states(
            tenant,
            sha256=set(sha256),
            pixels=set(pixels),
            originals=set(originals),
            confirmed=set(confirmed),
        )

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """Return the records in order of the ids; None for unknown and deleted ones."""
        reading = self._now.reading
        live = [one for one in reading.live(tenant, image_ids).values() if one.shown]
        found = reading.records(tenant, live)
        if vectors:
            for image_id, vectors_ in reading.all_vectors(tenant, live).items():
                if image_id in found:
                    found[image_id] = replace(found[image_id], vectors=vectors_)
        return [found.get(one) for one in image_ids]

    def read_vectors(
        self, tenant: str, space_id: str, image_ids: Sequence[str]
    ) -> list[Vector | None]:
        """Return the stored (d,) vectors of one space in order of the ids, None if missing."""
        reading = self._now.reading
        found = reading.vectors(tenant, space_id, reading.live(tenant, image_ids).values())
        return [found.get(one) for one in image_ids]

    # --- lists ----------------------------------------------------------------------------------

    def list_records(
        self,
        tenant: str,
        filters: Filters,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> IndexPage:
        """Return records older than (accepted_at, image_id) `before` that pass every filter."""
        return lists.page(self._now.reading, tenant, filters, limit, before)

    def list_variants(
        self, tenant: str, image_id: str, limit: int, before: tuple[str, str] | None = None
    ) -> list[State]:
        """Return records whose verdict names a picture as a variant, newest first."""
        return lists.variants(self._now.reading, tenant, image_id, limit, before)

    def list_unembedded(
        self, tenant: str, space_id: str, limit: int, after: int = -1
    ) -> MissingVectors:
        """Return records that lack a possible vector in a space, in order of projection."""
        return lists.lacking(self._now.reading, tenant, space_id, limit, after)

    def read_outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return the outcomes in order of the ids; None for jobs that have not ended."""
        found = self._now.reading.outcomes(tenant, job_ids)
        return [found.get(one) for one in job_ids]

    def list_outcomes(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Return ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""
        return lists.outcomes(self._now.reading, tenant, status, limit, before)

    # --- searches -------------------------------------------------------------------------------

    def find_candidates(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Return the anchors near each query from every source, in order of projection.

        Raise MalformedError for a vector without its space or of other dimensions than it has.
        """
        return self._now.nearby.hits(tenant, queries, without)

    def find_neighbours(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        limit: int,
        min_similarity: float = -1.0,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return approximate nearest records of a space, best first by exact similarity.

        A record passes the filters itself, or by a copy without a vector of its own there.
        Raise MalformedError for a vector of other dimensions than the space has.
        """
        return self._now.neighbours.search(
            tenant,
            space_id,
            vector,
            limit=limit,
            min_similarity=min_similarity,
            without=without,
            filters=filters,
        )

    def search_keywords(
        self,
        tenant: str,
        text: str,
        *,
        limit: int,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return records with any of a text's words, most relevant first by Weaviate's BM25."""
        return keyword_search.search(
            self._now.reading, tenant, text, limit=limit, without=without, filters=filters
        )

    # --- upkeep ---------------------------------------------------------------------------------

    def tidy(self, tenant: str) -> int:
        """Delete objects left by delayed or dead writers, and return how many."""
        return self._now.tidying.tidy(tenant)

    def rest(self) -> list[str]:
        """Unload tenants unused for `idle_hours`, and return them; a query loads one again.

        Queries of other processes count if they have the same setting.
        """
        return self._now.tidying.rest(self._idle_hours)

    def fresh(self) -> WeaviateIndex:
        """Return an empty index beside this one, and drop all but the active generation."""
        number = self._generations.begin()
        return WeaviateIndex(
            self._nodes,
            self._policy,
            key=self._key,
            secure=self._secure,
            prefix=self._prefix,
            consistency=self._consistency,
            replication=self._layout.replication,
            features=self._features,
            _generation=number,
        )

    def swap(self, fresh: Index) -> bool:
        """Make all processes read the contents of `fresh`, within about a second.

        Return False if it lags behind this index: for the next SEALED seconds no process projects,
        so that the caller can update it and call again. One that lags as far at the second call has
        all of the log. The old generation stays for running reads, until the next `fresh`.
        """
        if not isinstance(fresh, WeaviateIndex):
            raise IndexUnavailableError(
                f"an index in Weaviate cannot take the contents of a {type(fresh).__name__}"
            )
        self._generations.seal()
        marks = fresh._now.head.watermarks()  # noqa: SLF001  # of the same class
        lost = collections.HEAD in self._cluster.run(self._now.lost)
        told = {} if lost else self._now.head.watermarks()
        behind = any(marks.get(tenant, 0) < mark for tenant, mark in told.items())
        if behind and marks != self._lagging:
            self._lagging = marks
            return False
        self._generations.take(fresh._now.number)  # noqa: SLF001  # of the same class
        return True

    def drop(self) -> None:
        """Delete all collections of this prefix, for temporary indexes of measurements."""
        self._generations.drop()

    def close(self) -> None:
        """Close connections and threads; later calls raise IndexUnavailableError."""
        self._closed = True
        self._pool.shutdown(wait=True)
        self._cluster.close()

    @property
    def _now(self) -> Generation:
        if self._closed:
            raise IndexUnavailableError("the index is closed")
        return self._generations.now()

    def _make(self, number: int) -> Generation:
        told = 900 * self._idle_hours if self._idle_hours else None  # a quarter of it
        held = Collections(self._cluster, self._prefix, number, self._consistency, told)
        return Generation(held, self._pool, self._policy, self._layout, features=self._features)
