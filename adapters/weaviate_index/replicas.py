"""Whether a replica has lost what it held: a node that came back with an empty disk.

To Weaviate it is as good as any other, and answers from what little it has. So each tenant has a
mark among its anchors, written once, which only a replica that has lost its anchors lacks; each
node is asked for its own, for an answer of several would write it again where it is missing.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from weaviate import WeaviateClient
from weaviate.connect.v4 import _ExpectedStatusCodes

from adapters.weaviate_index import objects, store
from adapters.weaviate_index.store import Made, Store
from core.errors import IndexUnavailableError

MARK = "mark"
"""In place of an image_id."""
_SECONDS = 2.0
"""For so long it is not asked again: a node takes longer to end, be emptied and start."""
_FOUND = 200


class Replicas:
    """Of one generation."""

    def __init__(self, held: Store) -> None:
        self._store = held
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, tenant: str) -> None:
        """Raise IndexUnavailableError where one has lost a tenant's anchors."""
        now = time.monotonic()
        with self._lock:
            if now < self._seen.get(tenant, -_SECONDS) + _SECONDS:
                return
        marked = self._store.cluster.run(lambda client: self._marked(client, tenant))
        if not any(marked.values()):
            made = Made(uuid=objects.key(tenant, MARK), properties={"image_id": MARK})
            self._store.put(store.ANCHOR, tenant, [made])
        elif not all(marked.values()):
            lost = ", ".join(sorted(name for name, there in marked.items() if not there))
            raise IndexUnavailableError(
                f"{lost} of Weaviate has lost what it held of {tenant}: `seenit reindex` makes it "
                "again"
            )
        with self._lock:
            self._seen[tenant] = now

    def _marked(self, client: WeaviateClient, tenant: str) -> dict[str, bool]:
        """By node that has a replica of a tenant's anchors, whether the mark is there."""
        name = self._store.name(store.ANCHOR)
        nodes = client.cluster.nodes(collection=name, shard=tenant, output="verbose")
        connection: Any = client._connection  # noqa: SLF001  # the client cannot ask one node
        found: dict[str, bool] = {}
        for node in nodes:
            if node.status == "HEALTHY" and node.shards:
                answer = connection.get(
                    path=f"/objects/{name}/{objects.key(tenant, MARK)}",
                    params={"tenant": tenant, "node_name": node.name},
                    error_msg="a node was asked for its mark",
                    status_codes=_ExpectedStatusCodes(ok_in=[_FOUND, 404], error="mark"),
                )
                found[node.name] = answer.status_code == _FOUND
        return found
