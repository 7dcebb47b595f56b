"""Prometheus metrics: the values shown are the values counted, also from a worker's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters.blobs.directory import DirectoryBlobs
from adapters.event_log import BlobLog
from adapters.metrics_server import exposed
from adapters.prometheus import PrometheusMeter
from adapters.sqlite_index import SQLiteIndex
from core.errors import IndexUnavailableError, QueueUnavailableError, SettingsError
from core.event_log.batch_candidates import BatchCandidates
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.event_log.tail import LogFollower
from core.ingest.sweeper import Sweeper
from core.matching.candidates import fuse
from core.matching.policy import POLICY
from core.metrics import UNMETERED, timed
from core.records import Entry
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore
from tests.backends.server_process import free_ports
from tests.simulation import world
from tests.simulation.world import RULES, TENANT, operation


def shown(text: str | CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return samples by name and values of labels, in the order of their names."""
    if isinstance(text, CollectorRegistry):
        text = generate_latest(text).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_told_is_shown() -> None:
    """Each kind of figure under its own name, and none of another meter."""
    meter, other = PrometheusMeter(), PrometheusMeter()
    with (
        pytest.raises(ValueError, match="a stage that fails"),
        timed(meter, "batch", 3),
        timed(meter, "decode", 2),
    ):
        raise ValueError("a stage that fails is timed as well")
    with timed(meter, "embed", 0):
        pass
    meter.waited("queue", 0.2)
    meter.waited("verdict", -5.0)
    meter.count("conflicts")
    meter.count("verdicts", 2, kind="new")
    meter.gauge("pending", 7)
    meter.watch("answer", "Told when asked.", lambda: 42)
    told = shown(meter.registry)
    assert told["seenit_batch_pictures_bucket", "4.0"] == 1
    assert told["seenit_batch_pictures_bucket", "2.0"] == 0
    assert told["seenit_stage_pictures_total", "decode"] == 2
    assert told["seenit_stage_seconds_count", "decode"] == 1
    assert ("seenit_stage_seconds_count", "embed") not in told
    assert told["seenit_wait_seconds_bucket", "0.1", "queue"] == 0
    assert told["seenit_wait_seconds_bucket", "0.3", "queue"] == 1
    assert told["seenit_wait_seconds_sum", "verdict"] == 0
    assert told["seenit_conflicts_total",] == 1
    assert told["seenit_verdicts_total", "new"] == 2
    assert told["seenit_pending",] == 7
    assert told["seenit_answer",] == 42
    assert shown(other.registry)["seenit_conflicts_total",] == 0
    with timed(UNMETERED, "batch"):
        UNMETERED.count("conflicts")


def test_a_figure_that_cannot_be_asked_is_left_out() -> None:
    """The others are shown all the same."""
    meter = PrometheusMeter()

    def ask() -> float:
        raise QueueUnavailableError("the broker does not answer")

    meter.watch("depth", "Asked of a broker that is away.", ask)
    told = shown(meter.registry)
    assert ("seenit_depth",) not in told
    assert ("seenit_conflicts_total",) in told


def test_a_worker_serves_its_figures() -> None:
    """They are on its own port while it runs; the error for a port in use names the setting."""
    meter = PrometheusMeter()
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/metrics"
    with exposed(meter, "127.0.0.1", port):
        meter.count("entries")
        assert shown(httpx.get(url).text)["seenit_entries_total",] == 1
        with (
            pytest.raises(SettingsError, match="SEENIT_METRICS_PORT"),
            exposed(meter, "127.0.0.1", port),
        ):
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    with exposed(meter, "127.0.0.1", 0):
        pass


class Log(BlobLog):
    """Lets another worker go first, once."""

    first: Ledger | None = None

    def append(self, tenant: str, entry: Entry) -> None:
        other, self.first = self.first, None
        if other is not None:
            other.settle(TENANT, [claim("theirs")])
        super().append(tenant, entry)


class Index(SQLiteIndex):
    """May be away, or refuse to be written to."""

    away = refuses = False

    def watermark(self, tenant: str) -> int:
        if self.away:
            raise IndexUnavailableError("away")
        return super().watermark(tenant)

    def project_entry(self, *given: Any, **named: Any) -> None:  # noqa: ANN401  as the index's
        if self.refuses:
            raise IndexUnavailableError("away")
        super().project_entry(*given, **named)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """On a database of its own."""
    opened = Index(tmp_path / "index.db", POLICY, durable=False)
    yield opened
    opened.close()


def claim(job_id: str) -> Claim:
    """Return an operation on a missing picture: it is refused, and so settled."""
    return Claim(job=operation(job_id, "decide", "nowhere", value="block"))


def ledger(blobs: DirectoryBlobs, index: SQLiteIndex, meter: PrometheusMeter) -> tuple[Ledger, Log]:
    """Return a worker's ledger, and its log."""
    shelf, log = PictureStore(blobs), Log(blobs)
    follower = LogFollower(log, index)
    return Ledger(
        log=log,
        blobs=blobs,
        index=index,
        sight=PictureLoader(shelf, POLICY, lambda _: None),
        rules=RULES,
        pool=lambda: BatchCandidates(world.measure, POLICY),
        fuse=lambda hits: fuse(hits, POLICY),
        follower=follower,
        projector=Projector(
            log=log, blobs=blobs, index=index, shelf=shelf, follower=follower, meter=meter
        ),
        meter=meter,
    ), log


def test_a_conflict_is_counted_and_an_entry_once(tmp_path: Path, index: Index) -> None:
    """The worker that appended an entry counts its contents, the other one the conflict."""
    blobs = DirectoryBlobs(tmp_path / "blobs", durable=False)
    meters = PrometheusMeter(), PrometheusMeter()
    (mine, log), (other, _) = (ledger(blobs, index, meter) for meter in meters)
    log.first = other
    mine.settle(TENANT, [claim("mine")])
    for meter, conflicts in zip(meters, (1, 0), strict=True):
        told = shown(meter.registry)
        assert told["seenit_conflicts_total",] == conflicts
        assert told["seenit_entries_total",] == 1
        assert sum(n for name, n in told.items() if name[0] == "seenit_failures_total") == 1


def test_the_lag_is_what_could_not_be_projected(tmp_path: Path, index: Index) -> None:
    """It is known while the index is away, and zero once another process has projected them."""
    blobs = DirectoryBlobs(tmp_path / "blobs", durable=False)
    meter = PrometheusMeter()
    mine, _ = ledger(blobs, index, meter)
    other, _ = ledger(blobs, index, PrometheusMeter())
    mine.settle(TENANT, [claim("one")])
    assert mine._projector.behind() == 0
    index.refuses = True
    for job_id in ("two", "three"):
        mine.settle(TENANT, [claim(job_id)])
    assert mine._projector.behind() == 2
    index.away = True
    assert mine._projector.behind() == 2
    assert shown(meter.registry)["seenit_unavailable_total", "project", "index-unavailable"] == 2
    index.away = index.refuses = False
    assert other._projector.advance(TENANT) == 3
    assert mine._projector.behind() == 0
    assert other._projector.behind() == 0


class Waiting:
    """A queue that holds nothing, or is down."""

    down = False

    def enqueue(self, jobs: object) -> None:
        pass

    def mend(self) -> None:
        pass

    def depth(self, tenant: str | None = None) -> int:  # noqa: ARG002 - the port's
        if self.down:
            raise QueueUnavailableError("the broker does not answer")
        return 0


def test_a_sweep_tells_what_it_saw(tmp_path: Path) -> None:
    """It counts pending jobs, the ones enqueued again, and its own failure."""
    blobs, queue, meter = DirectoryBlobs(tmp_path, durable=False), Waiting(), PrometheusMeter()
    blobs.create_many([(f"pending/{tenant}/{n}", b"{}") for tenant in "ab" for n in range(3)])
    sweeper = Sweeper(blobs, queue, meter=meter)
    sweeper.sweep()
    queue.down = True
    with pytest.raises(QueueUnavailableError):
        sweeper.sweep()
    told = shown(meter.registry)
    assert told["seenit_pending",] == 6
    assert told["seenit_requeued_total",] == 6
    assert told["seenit_stage_seconds_count", "sweep"] == 1
    assert told["seenit_unavailable_total", "sweep", "queue-unavailable"] == 1
