"""The servers that other tests rely on do what their verbs say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis as Client
from redis import RedisError

from tests.backends import servers
from tests.backends.server_process import is_free, wait


@pytest.fixture
def toxic(tmp_path: Path) -> Iterator[servers.Toxiproxy]:
    """Yield a toxiproxy of its own."""
    with servers.toxiproxy(tmp_path / "toxiproxy") as server:
        yield server


def test_redis_keeps_what_its_file_holds_through_kill_9(tmp_path: Path) -> None:
    """It restarts on the same port and with its password; once stopped, the port is closed."""
    with servers.redis(tmp_path, password="secret", appendonly=True) as server:
        with Client.from_url(server.url) as client:
            client.set("name", "kept")
            files = server.data / "appendonlydir"
            wait(
                lambda: any(b"kept" in one.read_bytes() for one in files.iterdir()),
                20.0,
                lambda: "it is not in the file",
            )
        server.kill()
        assert not server.running
        server.start()
        with Client.from_url(server.url) as client:
            assert client.get("name") == b"kept"
        server.stop()
        assert is_free(server.port)
    with servers.redis(tmp_path / "other") as forgetful:
        with Client.from_url(forgetful.url) as client:
            client.set("a", "1")
        forgetful.kill()
        forgetful.start()
        with Client.from_url(forgetful.url) as client:
            assert client.get("a") is None


def test_a_link_is_cut_half_opened_and_slowed(tmp_path: Path, toxic: servers.Toxiproxy) -> None:
    """Mended, it works as before."""
    with servers.redis(tmp_path / "redis") as server:
        link = toxic.link("127.0.0.1", server.port)

        def ping(seconds: float = 0.5) -> float:
            began = time.monotonic()
            with Client(port=link.port, socket_timeout=seconds, retry=servers.NEVER) as client:
                client.ping()
            return time.monotonic() - began

        ping(10.0)
        link.cut()
        with pytest.raises(RedisError, match="refused"):
            ping()
        link.mend()
        link.half_open()
        with pytest.raises(RedisError, match="Timeout"):
            ping()
        link.mend()
        link.reset_peer()
        with pytest.raises(RedisError):
            ping()
        link.mend()
        link.slow(300)
        assert ping(10.0) > 0.3
        link.mend()
        ping(10.0)


def test_a_paused_server_takes_connections_and_is_silent(tmp_path: Path) -> None:
    """Until it goes on; it can be stopped while it is paused."""
    with servers.redis(tmp_path) as server, Client.from_url(server.url) as client:
        server.pause()
        with (
            pytest.raises(RedisError, match="Timeout"),
            Client(port=server.port, socket_timeout=0.3, retry=servers.NEVER) as other,
        ):
            other.ping()
        server.resume()
        assert client.ping()
        server.pause()


def test_weaviate_asks_for_its_key_and_comes_back_with_its_data(tmp_path: Path) -> None:
    """It does so after kill -9, on the same ports."""
    with servers.weaviate(tmp_path, key="secret") as server:
        root = f"http://127.0.0.1:{server.http}/v1/schema"
        with httpx.Client(headers={"Authorization": "Bearer secret"}) as client:
            assert client.post(root, json={"class": "Kept"}).status_code == 200
            assert httpx.get(root).status_code == 401
            server.kill()
            server.start()
            assert [one["class"] for one in client.get(root).json()["classes"]] == ["Kept"]


@pytest.mark.parametrize("required", [False, True])
def test_a_missing_server_is_a_skip_unless_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, required: bool
) -> None:
    """In both cases with the word that puts it there."""
    monkeypatch.setattr("tests.backends.server_process.BINARIES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SEENIT_TEST_REQUIRE", "redis, weaviate" if required else "redis")
    with (
        pytest.raises(pytest.fail.Exception if required else pytest.skip.Exception) as raised,
        servers.weaviate(tmp_path / "weaviate"),
    ):
        pass
    assert "make servers" in str(raised.value)


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_cluster_goes_on_without_its_leader(tmp_path: Path) -> None:
    """The others choose another one, and the node that was killed joins them again."""
    with servers.weaviates(tmp_path) as cluster:
        assert cluster.url.count("127.0.0.1") == 3
        first = cluster.leader()
        first.kill()
        second = cluster.leader()
        assert second is not first
        first.start()
        cluster.whole()
        assert first.leader() == second.name


def test_one_request_in_ten_is_refused_and_half_of_these_are_carried_out(
    s3_server: servers.S3,
) -> None:
    """Other requests pass unchanged; the client sees which were refused."""
    port = int(s3_server.environment["AWS_ENDPOINT_URL"].rpartition(":")[2])
    with servers.flaky("127.0.0.1", port) as proxy, httpx.Client() as client:
        passed = client.get(f"http://127.0.0.1:{port}/x").status_code
        seen = [client.get(f"http://127.0.0.1:{proxy.port}/x").status_code for _ in range(200)]
        refused, lost = proxy.refused, proxy.lost
    assert set(seen) == {passed, 503}
    assert seen.count(503) == refused
    assert 8 <= refused <= 40
    assert 0 < lost < refused
