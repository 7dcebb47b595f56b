"""Whether every replica is there, has what was written, and still has what it held.

To Weaviate a node that came back with an empty disk is as good as any other, and answers from what
little it has. So each tenant has a mark among its anchors, written once, which only a replica that
has lost its anchors lacks; each node is asked for its own, for an answer of several would write it
again where it is missing.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from weaviate import WeaviateClient
from weaviate.connect.v4 import _ExpectedStatusCodes

from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import Collections, Made
from core.backoff import pause_after
from core.errors import IndexUnavailableError

MARK: Final = "mark"
"""In place of an image_id."""
_SECONDS = 2.0
"""For so long it is not asked again: a node takes longer to end, be emptied and start."""
_SETTLED = 60.0
"""Seconds that vectors may take to come out of a queue."""
_APPEARS = 1.0
"""Seconds that a new tenant may take to be on every replica."""
_FOUND = 200


class Replicas:
    """Of one generation."""

    def __init__(self, held: Collections) -> None:
        self._store = held
        self._count = 0
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def count(self) -> int:
        """Copies that there are of each shard."""
        if self._count == 0:
            name = self._store.name(collections.RECORD)
            told = self._store.cluster.run(lambda client: client.collections.use(name).config.get())
            self._count = told.replication_config.factor
        return self._count

    def whole(self) -> None:
        """Raise IndexUnavailableError while nodes are away that W waits for.

        A node that died is listed as unhealthy at first, and some seconds later not at all.
        """
        wanted = self.count()
        if wanted == 1:
            return
        nodes = self._store.cluster.run(lambda client: client.cluster.nodes(output="minimal"))
        there = max(wanted, len(nodes))
        away = there - sum(node.status == "HEALTHY" for node in nodes)
        if away > 0:
            raise IndexUnavailableError(
                f"{away} of {there} nodes of Weaviate are away: what is settled waits for them"
            )

    def visible(self, kind: str, tenant: str) -> None:
        """Wait until no vector of a tenant waits in a queue any more (asynchronous indexing).

        Raise IndexUnavailableError where a replica is away: to Weaviate, "all" replicas are those
        that gossip knows of, and some 5 s after a node died it knows of it no more.
        """
        began = time.monotonic()
        looks = 0
        wanted = self.count()
        while True:
            shards = self._store.cluster.run(lambda client: self._shards(client, kind, tenant))
            away = len(shards) < wanted
            if away and self._store.rests(kind, tenant):  # whose shards no node has opened
                self._store.cluster.run(
                    lambda client: client.collections.use(self._store.name(kind)).tenants.activate(
                        tenant
                    )
                )
                began = time.monotonic()
                continue
            if away and time.monotonic() > began + _APPEARS:
                raise IndexUnavailableError(
                    f"{wanted - len(shards)} of {wanted} replicas of Weaviate are away"
                )
            waiting = sum(shards)
            if not away and not waiting:
                return
            if time.monotonic() > began + _SETTLED:
                raise IndexUnavailableError(f"{waiting} vectors of {tenant} still wait in a queue")
            looks += 1
            time.sleep(pause_after(looks, 0.25, first=0.01))

    def check(self, tenant: str) -> None:
        """Raise IndexUnavailableError where one has lost a tenant's anchors."""
        now = time.monotonic()
        with self._lock:
            if now < self._seen.get(tenant, -_SECONDS) + _SECONDS:
                return
        if not self.kept(tenant):
            made = Made(uuid=mapping.key(tenant, MARK), properties={"image_id": MARK})
            self._store.put(collections.ANCHOR, tenant, [made])
        with self._lock:
            self._seen[tenant] = now

    def kept(self, tenant: str) -> bool:
        """Whether they have a tenant's mark; False where none has it, or it is at rest.

        Raise IndexUnavailableError where one has lost it.
        """
        marked = self._store.cluster.run(lambda client: self._marked(client, tenant))
        if not any(marked.values()):
            return False
        if not all(marked.values()):
            lost = ", ".join(sorted(name for name, there in marked.items() if not there))
            raise IndexUnavailableError(
                f"{lost} of Weaviate has lost what it held of {tenant}: `seenit reindex` makes it "
                "again"
            )
        return True

    def _marked(self, client: WeaviateClient, tenant: str) -> dict[str, bool]:
        """By node that has a replica of a tenant's anchors, whether the mark is there."""
        name = self._store.name(collections.ANCHOR)
        nodes = client.cluster.nodes(collection=name, shard=tenant, output="verbose")
        connection: Any = client._connection  # noqa: SLF001  # the client cannot ask one node
        found: dict[str, bool] = {}
        for node in nodes:
            if node.status == "HEALTHY" and node.shards:
                answer = connection.get(
                    path=f"/objects/{name}/{mapping.key(tenant, MARK)}",
                    params={"tenant": tenant, "node_name": node.name},
                    error_msg="a node was asked for its mark",
                    status_codes=_ExpectedStatusCodes(ok_in=[_FOUND, 404], error="mark"),
                )
                found[node.name] = answer.status_code == _FOUND
        return found

    def _shards(self, client: WeaviateClient, kind: str, tenant: str) -> list[int]:
        """Of each replica that is there, the length of its queue of vectors."""
        nodes = client.cluster.nodes(
            collection=self._store.name(kind), shard=tenant, output="verbose"
        )
        return [
            shard.vector_queue_length
            for node in nodes
            if node.status == "HEALTHY"
            for shard in node.shards or []
        ]
