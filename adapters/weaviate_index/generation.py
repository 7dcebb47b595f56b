"""One generation of the index, with everything that asks it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from adapters.weaviate_index import schema
from adapters.weaviate_index.candidates import Nearby
from adapters.weaviate_index.cleanup import Tidying
from adapters.weaviate_index.collections import Store
from adapters.weaviate_index.projection import Writing
from adapters.weaviate_index.record_reads import Reading
from adapters.weaviate_index.replicas import Replicas
from adapters.weaviate_index.schema import Layout
from adapters.weaviate_index.tenant_state import Head
from adapters.weaviate_index.vector_search import Neighbours
from core.matching.policy import Policy


class Generation:
    """A store and its parts."""

    def __init__(
        self,
        held: Store,
        pool: ThreadPoolExecutor,
        policy: Policy,
        layout: Layout,
        *,
        features: bool,
    ) -> None:
        self.store = held
        self.number = held.number
        self._layout = layout
        self.head = Head(held)
        self.replicas = Replicas(held)
        self.reading = Reading(held, pool)
        self.nearby = Nearby(self.reading, policy, words=features)
        self.neighbours = Neighbours(self.reading)
        self.writing = Writing(self.reading, self.head, self.replicas, self._prepare)
        self.tidying = Tidying(Reading(held.quietly(), pool), self.head)

    def _prepare(self, space_id: str, wide: int) -> None:
        """Make the collection of a space, once."""
        if self.store.dimensions(space_id) is None:
            self.store.cluster.run(
                lambda client: schema.space(client, self.store, self._layout, space_id, wide)
            )
