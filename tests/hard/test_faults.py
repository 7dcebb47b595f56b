"""Pulling any plug of the distributed service loses nothing: `COUNT` uploads each."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx
import pytest
import redis as driver

from adapters.broker import open_broker
from adapters.settings import Settings
from tests.backends import servers
from tests.e2e.fleet import Fleet, fleet
from tests.e2e.talking import until
from tests.hard.persistent_clients import COUNT, Uploads, endure, equals

pytestmark = [pytest.mark.hard, pytest.mark.timeout(900)]

_seeds = count(100)
PATIENCE = 240.0
"""Seconds for what a slow machine does in its own time."""


@pytest.fixture
def seed() -> int:
    """Return a seed of its own for each test's mixture."""
    return next(_seeds)


@pytest.fixture
def weaviate(tmp_path: Path) -> Iterator[servers.Weaviate]:
    """Yield a Weaviate that may be stopped."""
    with servers.weaviate(tmp_path / "weaviate") as running:
        yield running


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[servers.Redis]:
    """Yield a Redis that may be stopped."""
    with servers.redis(tmp_path / "redis") as running:
        yield running


def says(running: Fleet, part: str) -> None:
    """Readiness is degraded and names the part."""

    def named() -> bool:
        told = running.ready()
        return told["status"] == "degraded" and told["parts"][part] == "down"

    until(named, 60.0, 0.2)


def test_ten_kills_of_a_worker(tmp_path: Path, seed: int) -> None:
    """At random moments, 0.2 to 3 s after it took a batch."""
    dice = random.Random(seed)

    def harm(uploads: Uploads) -> None:
        for n in range(10):
            worker = running.workers[n % len(running.workers)]
            before = len(uploads.told)
            until(lambda before=before: len(uploads.told) > before or not uploads.left, 30.0)  # type: ignore[misc]
            time.sleep(dice.uniform(0.2, 3.0))
            worker.kill()
            worker.start()

    with fleet(tmp_path, workers=2, SEENIT_BATCH="16") as running:
        endure(running, tmp_path, harm, seed=seed, every=0.15)


def test_redis_killed_emptied_and_restarted(
    tmp_path: Path, redis: servers.Redis, seed: int
) -> None:
    """It comes back with nothing of what it held; uploads go on all the while."""

    def harm(uploads: Uploads) -> None:
        until(lambda: len(uploads.told) > 50, PATIENCE)
        redis.kill()
        says(running, "queue")
        time.sleep(5)
        redis.start()
        until(lambda: len(uploads.told) > COUNT / 2, PATIENCE)
        with driver.Redis.from_url(redis.url) as client:
            client.flushall()

    with fleet(tmp_path, redis=redis.url) as running:
        endure(running, tmp_path, harm, seed=seed, every=0.05)


def test_weaviate_stopped_for_half_a_minute(
    tmp_path: Path, weaviate: servers.Weaviate, seed: int
) -> None:
    """Uploads are accepted meanwhile, and settled when it is back."""

    def harm(uploads: Uploads) -> None:
        until(lambda: len(uploads.told) > 100, PATIENCE)
        weaviate.stop()
        says(running, "index")
        time.sleep(30)
        weaviate.start()

    with fleet(tmp_path, weaviate=weaviate.url) as running:
        endure(running, tmp_path, harm, seed=seed, every=0.15)


def test_weaviates_volume_deleted(tmp_path: Path, weaviate: servers.Weaviate, seed: int) -> None:
    """The index is made again from the log, by itself."""

    def harm(uploads: Uploads) -> None:
        until(lambda: len(running.order()) > 100, PATIENCE)
        weaviate.kill()
        shutil.rmtree(weaviate.data)
        says(running, "index")
        weaviate.start()
        assert uploads.told

    with fleet(tmp_path, weaviate=weaviate.url) as running:
        endure(running, tmp_path, harm, seed=seed, every=0.1)


def test_the_api_killed_while_accepting(tmp_path: Path, seed: int) -> None:
    """An upload answered 202 is settled; the others are sent again and make one record each."""
    dice = random.Random(seed)

    def harm(uploads: Uploads) -> None:
        for _ in range(6):
            before = len(uploads.told)
            until(lambda before=before: len(uploads.told) > before + 10 or not uploads.left)  # type: ignore[misc]
            time.sleep(dice.uniform(0.0, 0.5))
            running.apis[0].kill()
            running.apis[0].start()

    with fleet(tmp_path) as running:
        endure(running, tmp_path, harm, seed=seed, every=0.02, refusals=True)


def test_every_task_delivered_twice(tmp_path: Path, redis: servers.Redis, seed: int) -> None:
    """Two workers find every turn many times, and every job again while others are in hand."""
    with fleet(tmp_path, redis=redis.url, workers=2) as running:
        for worker in running.workers:
            worker.stop()
        with Uploads(running, COUNT, seed) as uploads:
            uploads.join()
        with (
            driver.Redis.from_url(redis.url, decode_responses=True) as client,
            closing(open_broker(Settings(data=tmp_path, broker_url=redis.url))) as broker,
        ):
            (turn,) = client.lrange("ingest", 0, -1)
            jobs = client.zrange("seenit:waiting:ingest:default", 0, -1)
            assert len(jobs) >= COUNT
            for _ in range(COUNT):
                again = json.loads(turn)
                again["properties"]["delivery_tag"] = str(uuid.uuid4())
                client.lpush("ingest", json.dumps(again))
            for worker in running.workers:
                worker.start()
            until(lambda: broker.queue.depth("default") < len(jobs))
            for _ in range(5):
                broker.queue.enqueue([("default", str(job)) for job in jobs])
                time.sleep(0.5)  # the attack comes at whatever moment this is
        running.settled()
        equals(running, tmp_path, uploads)


def test_weaviate_slowed_to_two_seconds_an_answer(
    tmp_path: Path, weaviate: servers.Weaviate, seed: int
) -> None:
    """For half a minute an answer takes two seconds; nothing is lost, uploads stay quick."""
    with servers.toxiproxy(tmp_path / "toxiproxy") as proxy:
        http = proxy.link("127.0.0.1", weaviate.http)
        grpc = proxy.link("127.0.0.1", weaviate.grpc)

        def harm(uploads: Uploads) -> None:
            until(lambda: len(uploads.told) > 50, PATIENCE)
            for link in (http, grpc):
                link.slow(2_000)
            time.sleep(30)
            for link in (http, grpc):
                link.mend()

        url = f"weaviate://127.0.0.1:{http.port}:{grpc.port}"
        with fleet(tmp_path, weaviate=url) as running:
            endure(running, tmp_path, harm, seed=seed, every=0.1)


def test_weaviate_says_nothing_for_half_a_minute(
    tmp_path: Path, weaviate: servers.Weaviate, seed: int
) -> None:
    """It takes connections and never answers; many readers take no thread from uploads."""
    with servers.toxiproxy(tmp_path / "toxiproxy") as proxy:
        links = [proxy.link("127.0.0.1", port) for port in (weaviate.http, weaviate.grpc)]
        over = threading.Event()

        def read(url: str) -> None:
            with httpx.Client(base_url=url, timeout=60.0) as client:
                while not over.wait(0.1):
                    answer = client.get("/v1/images?limit=5")
                    assert answer.status_code in (200, 503), answer.text

        def harm(uploads: Uploads) -> None:
            until(lambda: len(uploads.told) > 50, PATIENCE)
            for link in links:
                link.half_open()
            with ThreadPoolExecutor(40) as pool:
                readers = [pool.submit(read, running.urls[0]) for _ in range(40)]
                says(running, "index")
                time.sleep(30)
                for link in links:
                    link.mend()
                over.set()
            for reader in readers:
                reader.result()

        url = f"weaviate://127.0.0.1:{links[0].port}:{links[1].port}"
        with fleet(tmp_path, weaviate=url) as running:
            endure(running, tmp_path, harm, seed=seed, every=0.15)


def test_a_store_that_answers_503_to_one_in_ten(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On S3, by API, workers and beat alike."""
    with servers.s3(tmp_path / "s3") as store, servers.flaky("127.0.0.1", store.port) as proxy:
        through = store.through(proxy.port)
        for name, value in through.items():  # this process reads the store as well
            monkeypatch.setenv(name, value)
        with fleet(tmp_path, blobs=store.url, **through) as running:
            endure(running, tmp_path, lambda _: None, seed=seed, refusals=True)
        assert proxy.refused > 100
