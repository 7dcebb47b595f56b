"""Blobs, log and settling on a real S3 server: refused, silent, and answering 503 now and then."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from adapters import wiring
from adapters.blobs.opening import open_blobs
from adapters.event_log import BlobLog
from adapters.settings import Settings
from core import keys
from core.errors import ExistsError, SeenitError, StoreUnavailableError
from core.ingest.accept import Upload
from core.ports import Blobs
from core.records import Entry, Fields
from tests.backends import servers
from tests.backends.server_process import wait
from tests.samples.pictures import jpeg, photo

TENANT = "default"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.S3]:
    """Yield an S3 that may be stopped, and to which the environment points."""
    with servers.s3(tmp_path / "s3") as server:
        _through(monkeypatch, server.environment)
        yield server


@pytest.fixture
def flaky(
    s3_server: servers.S3 | servers.Given, monkeypatch: pytest.MonkeyPatch
) -> Iterator[servers.Flaky]:
    """Yield a store of which one request in ten gets 503, half of these after they were done."""
    endpoint = s3_server.environment.get("AWS_ENDPOINT_URL", "")
    if not endpoint.startswith("http://"):
        pytest.skip("s3: the server of SEENIT_TEST_S3_URL is not reached over plain HTTP")
    host, _, port = endpoint.removeprefix("http://").rpartition(":")
    with servers.flaky(host, int(port)) as proxy:
        through = {**s3_server.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
        _through(monkeypatch, through)
        yield proxy
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)  # what was written goes the straight way
        whole = open_blobs(s3_server.url)
        whole.delete(list(whole.keys("flaky/")))


def test_an_own_create_whose_answer_was_lost_is_told_exists_and_is_ours(
    s3_server: servers.S3 | servers.Given, flaky: servers.Flaky
) -> None:
    """Nothing fails, every key holds what its creator wrote, and lists name each once."""
    blobs = open_blobs(f"{s3_server.url}/flaky/{time.time_ns()}")
    items = [(f"log/t/{n:04d}", str(n).encode()) for n in range(150)]
    told = [blobs.create_many([item])[0] for item in items]  # in turn: what is refused is foreseen
    assert blobs.get_many([key for key, _ in items]) == [data for _, data in items]
    assert 0 < told.count(False) <= flaky.lost
    assert not any(blobs.create_many([(key, b"another's") for key, _ in items]))
    blobs.put([(key.replace("log", "put"), data) for key, data in items])
    assert list(blobs.keys("log/")) == [key for key, _ in items]
    assert blobs.get_many([key for key, _ in items]) == [data for _, data in items]
    blobs.delete([key for key, _ in items])
    assert list(blobs.keys("log/")) == []
    assert len(list(blobs.keys("put/"))) == 150
    assert flaky.refused > 20


def test_a_batch_is_settled_once_through_refusals(
    s3_server: servers.S3 | servers.Given, flaky: servers.Flaky, tmp_path: Path
) -> None:
    """Accepted, settled and projected as on a store that never fails."""
    pictures = [photo(n) for n in range(6)]
    data = [jpeg(one, 90) for one in pictures] + [jpeg(one.reduce(2), 80) for one in pictures]
    services = wiring.build(
        Settings(
            data=tmp_path / "data",
            blobs_url=f"{s3_server.url}/flaky/{time.time_ns()}",
            model="none",
            caption_model="none",
        )
    )
    try:
        uploads = []
        for n, one in enumerate(data):
            path = tmp_path / f"{n}.jpg"
            path.write_bytes(one)
            uploads.append(
                Upload(path=path, filename=None, sha256=f"{n:064x}", md5="", bytes=len(one))
            )
        accepted = services.acceptor.uploads(TENANT, uploads, Fields()).items
        jobs = [job.job_id for job in accepted if not isinstance(job, SeenitError)]
        assert len(jobs) == 12
        ended = [*services.ingest.run(TENANT, jobs[:7]), *services.ingest.run(TENANT, jobs[7:])]
        again = services.ingest.run(TENANT, jobs)
        verdicts = [one.states[0].verdict for one in ended if one is not None]
        assert [one.kind for one in verdicts] == ["new"] * 6 + ["near_duplicate"] * 6
        assert [one.original for one in verdicts[6:]] == jobs[:6]
        assert again == [None] * 12
        head = services.log.head(TENANT)
        entries = [services.log.read(TENANT, seq) for seq in range(1, head + 1)]
        told = Counter(one.job for entry in entries if entry for one in entry.operations)
        assert told == Counter(jobs)
        assert services.index.watermark(TENANT) == head
        assert list(services.blobs.keys("pending/")) == []
        marks = services.blobs.exists([keys.done(TENANT, job) for job in jobs])
        assert marks == [True] * 12
    finally:
        services.close()
    assert flaky.refused > 5


def test_racing_writers_take_each_number_of_the_log_once(
    s3_server: servers.S3 | servers.Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of them, each with a client of its own, never two winners and never none."""
    _through(monkeypatch, s3_server.environment)
    url = f"{s3_server.url}/{time.time_ns()}"
    stores = [open_blobs(url) for _ in range(4)]
    start = threading.Barrier(4)

    def append(writer: int) -> list[int]:
        log, won = BlobLog(stores[writer]), []
        for seq in range(1, 26):
            start.wait()
            try:
                log.append("t", _entry(seq, writer))
            except ExistsError:
                found = log.read("t", seq)
                assert found is not None
                if found.nonce != f"w{writer}":
                    continue
            won.append(seq)
        return won

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(append, range(4)))
    assert Counter(seq for seqs in won for seq in seqs) == Counter(range(1, 26))
    log = BlobLog(stores[0])
    assert log.head("t") == 25
    for writer, seqs in enumerate(won):
        for seq in seqs:
            assert log.read("t", seq) == _entry(seq, writer)


def test_a_bucket_that_is_down_is_told_within_seconds(own: servers.S3) -> None:
    """Every call fails with StoreUnavailableError; it works again once the server is back."""
    blobs = open_blobs(own.url)
    blobs.put([("a/x/1", b"1")])
    own.kill()

    def refused(ask: Callable[[], object]) -> float:
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            ask()
        return time.monotonic() - began

    asks: list[Callable[[], object]] = [
        lambda: blobs.get("a/x/1"),
        lambda: blobs.exists(["a/x/1"]),
        lambda: blobs.put([("a/x/2", b"2")]),
        lambda: blobs.create("a/x/3", b"3"),
        lambda: list(blobs.keys("a/")),
        lambda: blobs.delete(["a/x/1"]),
    ]
    with ThreadPoolExecutor(len(asks)) as pool:
        assert max(pool.map(refused, asks)) < 30
    own.start()
    assert blobs.get("a/x/1") == b"1"
    blobs.create("a/x/3", b"3")


def test_a_bucket_that_is_silent_is_given_up(
    own: servers.S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection ends a call; the next one, once the server goes on, works."""
    open_blobs(own.url).put([("a/x/1", b"1")])
    monkeypatch.setattr("adapters.blobs.opening.STALL", timedelta(seconds=0.5))
    monkeypatch.setattr("adapters.blobs.opening.RETRY_FOR", timedelta(seconds=1))
    blobs = open_blobs(own.url)
    own.pause()
    for ask in (lambda: blobs.get("a/x/1"), lambda: blobs.create("a/x/2", b"2")):
        with pytest.raises(StoreUnavailableError):
            ask()
    own.resume()
    wait(lambda: _reads(blobs), 30.0, lambda: "it is not read again")


def _reads(blobs: Blobs) -> bool:
    """Return whether a call succeeds: half a second may be too short for a server that wakes up."""
    try:
        return blobs.get("a/x/1") == b"1"
    except StoreUnavailableError:
        return False


def _through(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def _entry(seq: int, writer: int) -> Entry:
    return Entry(
        seq=seq,
        nonce=f"w{writer}",
        previous="",
        at="2026-01-01T00:00:00.000Z",
        pipeline_version="1",
        policy_version="1",
        operations=(),
    )
