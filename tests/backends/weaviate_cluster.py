"""Weaviate for tests: one node, or a cluster on one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.backends.server_process import Server, binary, free_ports, started, used, wait


class Weaviate(Server):
    """Process of one node; `url` is a value for SEENIT_INDEX_URL."""

    def __init__(
        self,
        folder: Path,
        key: str | None,
        environment: Mapping[str, str],
        *,
        name: str = "node1",
    ) -> None:
        self.name, self.key = name, key
        self.http, self.grpc, self.gossip, self.raft, profiling = free_ports(5)
        self.data = folder / "data"
        program = binary("weaviate-server", "weaviate")
        self.program = program
        self.url = f"weaviate://127.0.0.1:{self.http}:{self.grpc}"
        keys = {
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": key or "",
            "AUTHENTICATION_APIKEY_USERS": "seenit",
        }
        super().__init__(
            [program, "--host", "127.0.0.1", "--port", str(self.http), "--scheme", "http"],
            folder,
            ports=[
                *(self.http, self.grpc, profiling),
                # memberlist's data port and raft's internal one are the next ones, by convention
                *(self.gossip, self.gossip + 1, self.raft, self.raft + 1),
            ],
            environment={
                "PERSISTENCE_DATA_PATH": str(self.data),
                "DEFAULT_VECTORIZER_MODULE": "none",
                "DISABLE_TELEMETRY": "true",
                "LOG_LEVEL": "warning",
                "DISK_USE_READONLY_PERCENTAGE": "100",
                "GRPC_PORT": str(self.grpc),
                "GO_PROFILING_PORT": str(profiling),
                "CLUSTER_HOSTNAME": name,
                "CLUSTER_IN_LOCALHOST": "true",
                "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
                "CLUSTER_BIND_ADDR": "127.0.0.1",
                "CLUSTER_GOSSIP_BIND_PORT": str(self.gossip),
                "CLUSTER_DATA_BIND_PORT": str(self.gossip + 1),
                "RAFT_PORT": str(self.raft),
                "RAFT_INTERNAL_RPC_PORT": str(self.raft + 1),
                "RAFT_JOIN": f"{name}:{self.raft}",
                "RAFT_BOOTSTRAP_EXPECT": "1",
                "RAFT_TIMEOUTS_MULTIPLIER": "1",  # alone, it elects itself four seconds sooner
                **(keys if key else {"AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true"}),
                **environment,
            },
        )

    def ask(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON the call answers
        """Send a GET below /v1; return None unless it answers with 200."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.http}/v1/{path}", headers=headers)
        except httpx.TransportError:
            return None
        return (answer.json() if answer.content else {}) if answer.is_success else None

    def ready(self) -> bool:
        """Return whether it is ready by its own check, gRPC listens, and it has a leader."""
        if self.ask(".well-known/ready") is None or (meta := self.ask("meta")) is None:
            return False
        used("weaviate", f"{meta['version']} ({self.program})")
        return self.leader() is not None

    def leader(self) -> str | None:
        """Return the name of the node that leads Raft, None while there is none."""
        told = self.ask("cluster/statistics")
        found = [one.get("leaderId") for one in (told or {}).get("statistics", [])]
        return next((str(one) for one in found if one), None)

    def nodes(self) -> dict[str, str]:
        """Return the status of every node it knows, HEALTHY for one that is up."""
        told = self.ask("nodes")
        return {one["name"]: one["status"] for one in (told or {}).get("nodes", [])}

    def join(self, nodes: list[Weaviate]) -> None:
        """Join it to these nodes before it starts, so that all find each other."""
        self._environment["RAFT_JOIN"] = ",".join(f"{one.name}:{one.raft}" for one in nodes)
        self._environment["RAFT_BOOTSTRAP_EXPECT"] = str(len(nodes))
        del self._environment["RAFT_TIMEOUTS_MULTIPLIER"]
        others = [one for one in nodes if one is not self]
        self._environment["CLUSTER_JOIN"] = ",".join(f"127.0.0.1:{one.gossip}" for one in others)


def weaviate(
    folder: Path, *, key: str | None = None, environment: Mapping[str, str] | None = None
) -> AbstractContextManager[Weaviate]:
    """Start a private Weaviate, open to all unless it has a `key`."""
    return started(Weaviate(folder, key, environment or {}))


class Weaviates:
    """Nodes of a cluster; `url` names every node."""

    def __init__(self, nodes: list[Weaviate]) -> None:
        self.nodes = nodes
        self.key = nodes[0].key
        self.url = nodes[0].url + "".join(f",127.0.0.1:{one.http}:{one.grpc}" for one in nodes[1:])

    def start(self) -> None:
        """Start the nodes that are down, and return once each sees all of them."""
        for node in self.nodes:
            if not node.running:
                node.launch()
        for node in self.nodes:
            node.await_ready()
        self.whole()

    def whole(self, seconds: float = 60.0) -> None:
        """Wait until every node sees every other as healthy."""

        def seen() -> bool:
            told = [list(node.nodes().values()) for node in self.nodes]
            return all(one == ["HEALTHY"] * len(self.nodes) for one in told)

        wait(seen, seconds, lambda: str([node.nodes() for node in self.nodes]))

    def leader(self) -> Weaviate:
        """Return the node that leads Raft, once the living agree on a living one."""
        found: list[Weaviate] = []

        def agreed() -> bool:
            alive = [node for node in self.nodes if node.running]
            named = {node.leader() for node in alive}
            found[:] = [node for node in alive if {node.name} == named]
            return bool(found)

        wait(agreed, 30.0, lambda: "no leader")
        return found[0]


@contextmanager
def weaviates(
    folder: Path,
    nodes: int = 3,
    *,
    key: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Weaviates]:
    """Start a private Weaviate cluster."""
    made = [
        Weaviate(folder / f"node{n}", key, environment or {}, name=f"node{n}")
        for n in range(1, nodes + 1)
    ]
    for node in made:
        node.join(made)
    cluster = Weaviates(made)
    with ExitStack() as stop:
        for node in made:
            stop.callback(node.stop)
        cluster.start()
        yield cluster
