"""Three Weaviate nodes, every shard on all of them: any one may die and come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.backends import servers
from tests.e2e.fleet import Fleet, fleet
from tests.e2e.talking import until
from tests.hard.persistent_clients import Uploads, endure

pytestmark = [pytest.mark.hard, pytest.mark.timeout(900)]

_seeds = count(200)


def bearing(running: Fleet, folder: Path, harm: Callable[[], None], seed: int) -> None:
    """Upload through a fault, and read all the while; check that no read fails."""
    failures: list[str] = []

    def read(uploads: Uploads) -> None:
        for path in ("/v1/images?limit=5", "/v1/stats"):
            answer = running.client.get(path)
            if answer.status_code != httpx.codes.OK:
                failures.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        found = running.check(uploads.files[0])
        if found.status_code != httpx.codes.OK:
            failures.append(f"check: {found.status_code} {found.text[:200]}")

    def hurt(uploads: Uploads) -> None:
        until(lambda: len(running.order()) > 50, 120)
        harm()
        until_over = time.monotonic() + 20
        while time.monotonic() < until_over:
            read(uploads)
            time.sleep(0.2)

    endure(running, folder, hurt, seed=seed, every=0.1)
    assert failures == []


@pytest.mark.parametrize("victim", ["connected", "leader"])
def test_a_node_dies_and_comes_back(tmp_path: Path, victim: str) -> None:
    """The one that every process is connected to, or the leader; no error reaches a caller."""
    with ExitStack() as stack:
        cluster = stack.enter_context(servers.weaviates(tmp_path / "weaviate"))
        running = stack.enter_context(
            fleet(tmp_path, weaviate=cluster.url, SEENIT_INDEX_REPLICATION="3")
        )

        def harm() -> None:
            hit = cluster.nodes[0] if victim == "connected" else cluster.leader()
            hit.kill()
            until(lambda: running.ready()["parts"]["replicas"] == "down", 30)
            time.sleep(10)
            hit.start()
            until(lambda: running.ready()["parts"]["replicas"] == "ok", 60)

        bearing(running, tmp_path, harm, next(_seeds))
