"""Parts of one generation of the index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from weaviate import WeaviateClient

from adapters.weaviate_index import collections, schema
from adapters.weaviate_index.candidates import CandidateSearch
from adapters.weaviate_index.cleanup import Cleanup
from adapters.weaviate_index.collections import Collections
from adapters.weaviate_index.projection import WeaviateProjection
from adapters.weaviate_index.record_reads import RecordReads
from adapters.weaviate_index.replicas import Replicas
from adapters.weaviate_index.schema import SchemaLayout
from adapters.weaviate_index.tenant_state import TenantState
from adapters.weaviate_index.vector_search import NeighbourSearch
from core.matching.policy import Policy


class Generation:
    """Collections of a generation, and the reads and writes on them."""

    def __init__(
        self,
        held: Collections,
        pool: ThreadPoolExecutor,
        policy: Policy,
        layout: SchemaLayout,
        *,
        features: bool,
    ) -> None:
        self.store = held
        self.number = held.number
        self._layout = layout
        self.head = TenantState(held)
        self.replicas = Replicas(held)
        self.reading = RecordReads(held, pool)
        self.nearby = CandidateSearch(self.reading, policy, words=features)
        self.neighbours = NeighbourSearch(self.reading)
        self.writing = WeaviateProjection(self.reading, self.head, self.replicas, self._prepare)
        self.tidying = Cleanup(RecordReads(held.quietly(), pool), self.head)

    def lost(self, client: WeaviateClient) -> list[str]:
        """Return the kinds of collections that are missing, or lack their tenants."""
        connection: Any = client._connection  # noqa: SLF001  # the client cannot read every schema
        there = {
            found["class"]: bool(found.get("multiTenancyConfig", {}).get("enabled"))
            for found in connection.get(
                path="/schema", error_msg="reading the schema failed"
            ).json()["classes"]
        }
        return [
            kind
            for kind in (collections.HEAD, *collections.OF_TENANTS)
            if there.get(self.store.name(kind)) is not (kind != collections.HEAD)
        ]

    def _prepare(self, space_id: str, wide: int) -> None:
        """Create the collection of a space unless it exists."""
        if self.store.dimensions(space_id) is None:
            self.store.cluster.run(
                lambda client: schema.space(client, self.store, self._layout, space_id, wide)
            )
