"""A Redis that answers and refuses writes: readiness says so, uploads are taken and settled later.

Out of memory without eviction, a failed save (MISCONF), and a replica (READONLY): a PING says
nothing of any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from redis import Redis as Client

from tests.backends import servers
from tests.e2e.fleet import fleet
from tests.e2e.talking import until
from tests.samples.pictures import photo, png

Turn = Callable[[Client, servers.Redis], object]


def _full(client: Client, _: servers.Redis) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")


def _roomy(client: Client, _: servers.Redis) -> None:
    client.config_set("maxmemory", "0")


def _unsaved(client: Client, server: servers.Redis) -> None:
    """Put a folder in the place of Redis' file, so that saving fails."""
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.config_set("save", "3600 1")
    (server.data / "dump.rdb").mkdir()
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def _saved(client: Client, server: servers.Redis) -> None:
    (server.data / "dump.rdb").rmdir()
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")


REFUSALS: dict[str, tuple[Turn, Turn, str]] = {
    "full": (_full, _roomy, "maxmemory"),
    "unsaved": (_unsaved, _saved, "MISCONF"),
    "replica": (
        lambda client, _: client.replicaof("127.0.0.1", "1"),
        lambda client, _: client.replicaof("no", "one"),
        "read only replica",
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one == "full" else (pytest.mark.hard,)) for one in REFUSALS],
)
def test_readiness_names_a_queue_that_refuses_writes(tmp_path: Path, name: str) -> None:
    """200 and `degraded`; what is uploaded meanwhile is accepted, and settled once it recovers."""
    refuse, recover, says = REFUSALS[name]
    with (
        servers.redis(tmp_path / "redis") as server,
        fleet(
            tmp_path / "fleet",
            redis=server.url,
            weaviate=f"sqlite://{tmp_path}/fleet/index.sqlite",
        ) as running,
        Client.from_url(server.url) as client,
    ):
        before = running.upload([("a.png", png(photo(1)))], wait=60)
        assert before.json()["items"][0]["status"] == "done"
        refuse(client, server)
        told = until(lambda: _down(running.client), 30.0, 0.2)
        assert told["status"] == "degraded"
        assert says in told["reasons"]["queue"]
        taken = running.upload([("b.png", png(photo(2)))])
        assert taken.status_code == httpx.codes.ACCEPTED
        assert len(running.pending()) == 1
        assert running.workers[0].stop(20.0) == 0  # a stop does not wait for the broker
        recover(client, server)
        running.workers[0].start()
        running.settled()
        until(lambda: running.ready()["parts"]["queue"] == "ok", 30.0, 0.2)
        assert len(running.order()) == 2


def _down(client: httpx.Client) -> dict[str, dict[str, str]] | None:
    answer = client.get("/health/ready")
    assert answer.status_code == httpx.codes.OK
    told: dict[str, dict[str, str]] = answer.json()
    return told if told["parts"]["queue"] == "down" else None
