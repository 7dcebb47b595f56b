"""Checks that every replica is up, has all writes, and has lost none.

Weaviate treats a node that came back with an empty disk like any other, although it answers from
incomplete data. So each tenant has a mark among its anchors, written once, which only a replica
that has lost its anchors lacks. Each node is queried by itself, as a read of several would repair
the missing mark.
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
"""Value of image_id of a mark."""
_SECONDS = 2.0
"""Seconds between two checks: a node takes longer to stop, be emptied and start."""
_SETTLED = 60.0
"""Seconds that queued vectors may take to be indexed."""
_APPEARS = 1.0
"""Seconds that a new tenant may take to appear on every replica."""
_FOUND = 200


class Replicas:
    """Checks of the replicas of one generation."""

    def __init__(self, held: Collections) -> None:
        self._store = held
        self._count = 0
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def count(self) -> int:
        """Return the number of replicas of each shard."""
        if self._count == 0:
            name = self._store.name(collections.RECORD)
            told = self._store.cluster.run(lambda client: client.collections.use(name).config.get())
            self._count = told.replication_config.factor
        return self._count

    def whole(self) -> None:
        """Raise IndexUnavailableError while nodes are down that W waits for.

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
        """Wait until no vector of a tenant is queued for indexing on any replica.

        Raise IndexUnavailableError if a replica is down: for Weaviate, "all" replicas are those
        that gossip knows, which drops a dead node after some 5 s.
        """
        began = time.monotonic()
        looks = 0
        wanted = self.count()
        while True:
            shards = self._store.cluster.run(lambda client: self._shards(client, kind, tenant))
            away = len(shards) < wanted
            if away and self._store.rests(kind, tenant):  # an unloaded tenant has no open shards
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
                raise IndexUnavailableError(
                    f"{waiting} vectors of {tenant} are still queued after {_SETTLED:.0f} s"
                )
            looks += 1
            time.sleep(pause_after(looks, 0.25, first=0.01))

    def check(self, tenant: str) -> None:
        """Raise IndexUnavailableError if a replica has lost a tenant's anchors."""
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
        """Return whether all replicas have a tenant's mark; False if none has, or it is unloaded.

        Raise IndexUnavailableError if some have lost it.
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
        """Return, by node with a replica of a tenant's anchors, whether it has the mark."""
        name = self._store.name(collections.ANCHOR)
        nodes = client.cluster.nodes(collection=name, shard=tenant, output="verbose")
        connection: Any = client._connection  # noqa: SLF001  # the client cannot query a single node
        found: dict[str, bool] = {}
        for node in nodes:
            if node.status == "HEALTHY" and node.shards:
                answer = connection.get(
                    path=f"/objects/{name}/{mapping.key(tenant, MARK)}",
                    params={"tenant": tenant, "node_name": node.name},
                    error_msg="reading the mark of a node failed",
                    status_codes=_ExpectedStatusCodes(ok_in=[_FOUND, 404], error="mark"),
                )
                found[node.name] = answer.status_code == _FOUND
        return found

    def _shards(self, client: WeaviateClient, kind: str, tenant: str) -> list[int]:
        """Return the number of queued vectors of each replica that is up."""
        nodes = client.cluster.nodes(
            collection=self._store.name(kind), shard=tenant, output="verbose"
        )
        return [
            shard.vector_queue_length
            for node in nodes
            if node.status == "HEALTHY"
            for shard in node.shards or []
        ]
