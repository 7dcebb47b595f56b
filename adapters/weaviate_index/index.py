"""The port `Index` on Weaviate: several machines, approximate neighbours, the same contract."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec.structs import replace

from adapters.weaviate_index import keyword_search, lists
from adapters.weaviate_index.client import WeaviateCluster
from adapters.weaviate_index.collections import Collections, Level
from adapters.weaviate_index.counters import stats
from adapters.weaviate_index.generation import Generation
from adapters.weaviate_index.generations import Generations
from adapters.weaviate_index.nodes import WeaviateNode
from adapters.weaviate_index.projection import ProjectedEntry
from adapters.weaviate_index.schema import GenerationTable, SchemaLayout
from core.errors import IndexUnavailableError
from core.matching.policy import Policy
from core.ports import Filters, Index, IndexPage, MissingVectors, Neighbour, RecordCard, Stats
from core.records import Outcome, Record, State, Tombstone
from core.types import ActiveSpaces, Hit, Query, SpaceKind, Vector

THREADS = 32
"""Questions under way at once: a picture asks ten, each of which waits some milliseconds."""
_ASKED = 3
"""Tenants that are tried until one is not at rest."""


class WeaviateIndex:
    """An index on the servers that `nodes` name; any number of processes read and write it.

    Nothing is asked of the servers before the first question, which also makes what is missing in
    their schema. While none answers, every call raises IndexUnavailableError within seconds.
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
        """`key` is the API key, `prefix` what collections' names begin with.

        `consistency` is asked of reads; what is written is on every replica before W says so.
        `replication` is of collections made from now on. `features`: local features are a source
        of candidates. `idle_hours`: see `rest`.
        """
        self._nodes = list(nodes)
        self._key = key
        self._secure = secure
        self._lagging: dict[str, int] | None = None
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

    # --- what there is of a tenant --------------------------------------------------------------

    def watermark(self, tenant: str) -> int:
        """W: every entry up to it is visible on every replica. 0 for an unknown tenant."""
        return self._generations.watermark(tenant)

    def tenants(self) -> list[str]:
        """Those that have a watermark, sorted."""
        return self._now.head.tenants()

    def check_replicas(self) -> None:
        """Raise IndexUnavailableError while a node that has replicas is away, or came back empty.

        Of an emptied one the mark of a tenant tells that this process was asked about.
        """
        replicas = self._now.replicas
        replicas.whole()
        for tenant in self._generations.told()[:_ASKED]:
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
        """Write what entry `seq` left to every replica, wait for it to be visible, let W be `seq`.

        Nothing where it is not the next one. Raise IndexUnavailableError where a replica is away:
        W stands still.
        """
        self._generations.refuse_sealed()
        entry = ProjectedEntry(tenant, seq, records, removed, outcomes, standings)
        self._now.writing.project(entry)

    def active_spaces(self, tenant: str) -> dict[SpaceKind, ActiveSpaces]:
        """By kind; none of a kind that the log says nothing of."""
        head = self._now.head
        return head.standings(tenant, head.watermark(tenant))

    def count_records(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Counts as of W; of these spaces also where no record has a vector in them."""
        head = self._now.head
        while True:
            watermark = head.watermark(tenant)
            told = head.tallies(tenant, watermark)
            if head.watermark(tenant) == watermark:  # else what it counted may be gone
                return stats({name: one for name, (_, one) in told.items()}, watermark, spaces)

    def list_values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Values that records have, sorted, at most so many."""
        return lists.values(self._now.reading, self._now.head, tenant, by, limit)

    # --- records --------------------------------------------------------------------------------

    def read_states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """In order; None for unknown and deleted ones."""
        live = self._now.reading.live(tenant, image_ids)
        return [live[one].state if one in live else None for one in image_ids]

    def read_cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """In order; None for unknown and deleted ones."""
        live = self._now.reading.live(tenant, image_ids)
        return [live[one].card if one in live else None for one in image_ids]

    def read_tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """In order."""
        newest = self._now.reading.newest(tenant, image_ids)
        return [
            newest[one].tombstone if one in newest and newest[one].gone else None
            for one in image_ids
        ]

    def find_states(
        self,
        tenant: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests or originals, in the order they came."""
        return self._now.reading.find_states(
            tenant, sha256=set(sha256), pixels=set(pixels), originals=set(originals)
        )

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """In order; None for unknown and deleted ones."""
        reading = self._now.reading
        live = reading.live(tenant, image_ids)
        found = reading.records(tenant, live.values())
        if vectors:
            for image_id, vectors_ in reading.all_vectors(tenant, live.values()).items():
                if image_id in found:
                    found[image_id] = replace(found[image_id], vectors=vectors_)
        return [found.get(one) for one in image_ids]

    def read_vectors(
        self, tenant: str, space_id: str, image_ids: Sequence[str]
    ) -> list[Vector | None]:
        """Stored vectors of one space, in order."""
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
        """Records older than (accepted_at, image_id) `before` that pass every filter."""
        return lists.page(self._now.reading, tenant, filters, limit, before)

    def list_unembedded(
        self, tenant: str, space_id: str, limit: int, after: int = -1
    ) -> MissingVectors:
        """Records that could have a vector in a space and have none, in the order they came."""
        return lists.lacking(self._now.reading, tenant, space_id, limit, after)

    def read_outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """In order."""
        found = self._now.reading.outcomes(tenant, job_ids)
        return [found.get(one) for one in job_ids]

    def list_outcomes(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""
        return lists.outcomes(self._now.reading, tenant, status, limit, before)

    # --- searches -------------------------------------------------------------------------------

    def find_candidates(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Anchors near each query from every source, in the order they came to be.

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
        """Approximate nearest records of a space, best first, measured exactly.

        A record passes the filters by itself, or for a copy without a vector of its own there.
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
        """Records with any of a text's words, most relevant first, by Weaviate's BM25."""
        return keyword_search.search(
            self._now.reading, tenant, text, limit=limit, without=without, filters=filters
        )

    # --- keeping --------------------------------------------------------------------------------

    def tidy(self, tenant: str) -> int:
        """Delete what writers that died or were held up left behind; how many objects that was."""
        return self._now.tidying.tidy(tenant)

    def rest(self) -> list[str]:
        """Put to rest, and tell, tenants that nobody asked for `idle_hours`; a question wakes one.

        Of the questions of other processes it knows those that were asked with the same setting.
        """
        return self._now.tidying.rest(self._idle_hours)

    def fresh(self) -> WeaviateIndex:
        """An empty index beside this one; what earlier ones left is dropped, but not the active."""
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
        """Let what `fresh` holds be what every process reads, within a second or so.

        False where it lags behind what this one has told: for half a minute now nobody projects,
        bring it up and ask again. If that adds nothing, it is all that the log holds. The old
        generation stays for those who are reading it, until the next `fresh`.
        """
        if not isinstance(fresh, WeaviateIndex):
            raise IndexUnavailableError("only an index of the same kind can take its place")
        self._generations.seal()
        marks, told = fresh._now.head.watermarks(), self._now.head.watermarks()  # noqa: SLF001  # of the same class
        behind = any(marks.get(tenant, 0) < mark for tenant, mark in told.items())
        if behind and marks != self._lagging:
            self._lagging = marks
            return False
        self._generations.take(fresh._now.number)  # noqa: SLF001  # of the same class
        return True

    def drop(self) -> None:
        """Delete every collection of this prefix: for an index that was made to be measured."""
        self._generations.drop()

    def close(self) -> None:
        """Let go of connections and threads; whatever is asked afterwards is refused."""
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
