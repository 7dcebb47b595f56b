"""The holder of a data folder goes on whatever befalls a chore of its."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import wiring
from adapters.process_lock import EngineLock
from adapters.settings import Settings
from adapters.wiring import Services
from core.admin_tasks import AdminTask
from core.errors import StoreUnavailableError
from core.ingest.accept import Upload
from core.records import Fields, Job
from tests.e2e.talking import until
from tests.samples.pictures import photo, png
from worker import admin_tasks
from worker.consumer import GracefulConsumer
from worker.embedded import EmbeddedEngine
from worker.periodic import PeriodicRunner, PeriodicTask


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Yield all services in one process; a test starts the engine."""
    built = wiring.build(
        Settings(data=tmp_path / "data", model="none", caption_model="none", durable=False)
    )
    yield built
    built.close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Add a task of the kind `count`, and return the list that grows at each run of it."""
    times: list[int] = []

    def count(
        _: Services, __: Mapping[str, str], ___: Callable[[int, int], None]
    ) -> dict[str, Any]:
        times.append(1)
        return {"times": len(times)}

    monkeypatch.setitem(admin_tasks.KINDS, "count", count)
    return times


def result_of(services: Services, task: AdminTask) -> object:
    """Return the result, None before the end."""
    report = services.admin_tasks.read_report(task.task_id)
    return report.result if report.ended else None


def test_an_outcome_that_cannot_be_stored_ends_nothing_and_is_made_once(
    services: Services, counted: list[int], tmp_path: Path
) -> None:
    """On a full disk the lock stays held, and the outcome is stored once it can be."""
    task = services.admin_tasks.request("count")
    admin = tmp_path / "data" / "blobs" / "admin"
    report = admin / "reports" / task.task_id
    report.mkdir(parents=True)  # so that nothing can be put in its place
    (admin / "requests" / "damaged").write_bytes(b"{")
    engine = EmbeddedEngine(services)
    engine.start()
    try:
        until(lambda: counted == [1])
        other = services.admin_tasks.request("count")
        assert engine.running
        assert not EngineLock(services.settings.data).take()
        report.rmdir()
        until(lambda: result_of(services, task) == {"times": 1})
        until(lambda: result_of(services, other) == {"times": 2})
        assert services.admin_tasks.waiting() == []
        assert list((admin / "requests").iterdir()) == []
    finally:
        engine.close()


def test_a_store_that_is_away_at_the_start_is_waited_for(
    services: Services, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes over while it is away must not accept for ever and settle nothing."""
    tenants = services.log.tenants
    answers = iter([StoreUnavailableError("away"), StoreUnavailableError("away")])

    def unsteady() -> list[str]:
        for error in answers:
            raise error
        return tenants()

    monkeypatch.setattr(services.log, "tenants", unsteady)
    task = services.admin_tasks.request("count")
    engine = EmbeddedEngine(services)
    engine.start()
    try:
        until(lambda: result_of(services, task) == {"times": 1})
        assert counted == [1]
    finally:
        engine.close()


def test_an_engine_whose_consumer_ends_by_itself_begins_anew(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next consumer takes up the jobs of the dead one; readiness reports it meanwhile."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 0.2)
    ends = [SystemExit(1), ZeroDivisionError("a defect"), None]
    real = GracefulConsumer.loop

    def loop(self: GracefulConsumer, *arguments: object) -> None:
        end = ends.pop(0) if ends else None
        if end is None:
            real(self, *arguments)
            return
        self.on_ready()
        until(lambda: len(services.broker.hand) == 1)
        raise end

    monkeypatch.setattr(GracefulConsumer, "loop", loop)
    engine = EmbeddedEngine(services)
    engine.start()
    try:
        until(lambda: engine.running)
        job = accepted(services)
        until(lambda: not list(services.blobs.keys("pending/")), 60.0)
        assert services.blobs.get(f"done/default/{job}")
        assert ends == []
        until(lambda: services.engine.status.state == "running")
        restarts = services.meter.registry.get_sample_value(
            "seenit_restarts_total", {"thread": "engine"}
        )
        assert restarts is not None
        assert restarts >= 1
    finally:
        engine.close()


def test_a_sweeper_with_a_defect_is_told_and_sweeps_on(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else finds what another process accepted."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 0.2)
    real = services.sweeper.sweep
    faults = [KeyError("a defect"), KeyError("a defect")]
    told: list[str] = []

    def sweep() -> int:
        if faults:
            raise faults.pop()
        told.append(services.engine.status.reason)
        return real()

    monkeypatch.setattr(services.sweeper, "sweep", sweep)
    engine = EmbeddedEngine(services)
    engine.start()
    try:
        until(lambda: bool(told))
        assert "KeyError" in told[0]
        accepted(services)
        until(lambda: not list(services.blobs.keys("pending/")), 60.0)
    finally:
        engine.close()


def test_a_chore_with_a_defect_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback now and then, not one with every round."""
    clock = [0.0]
    monkeypatch.setattr("worker.periodic.time.monotonic", lambda: clock[0])
    runs: list[float] = []

    def fail() -> None:
        runs.append(clock[0])
        raise ZeroDivisionError

    rounds = PeriodicRunner([PeriodicTask("one", 0.0, fail)])
    stop = threading.Event()
    with caplog.at_level(logging.ERROR):
        for _ in range(1200):  # ten minutes of an engine
            rounds.go(stop)
            clock[0] += 0.5
    assert 10 <= len(runs) == len(caplog.records) <= 60


def accepted(services: Services) -> str:
    """Accept an upload, and return the id of its job."""
    data = png(photo(1))
    path = services.settings.data / "upload.png"
    path.write_bytes(data)
    upload = Upload(
        path=path,
        filename="a.png",
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes=len(data),
    )
    (job,) = services.acceptor.uploads("default", [upload], Fields()).items
    assert isinstance(job, Job)
    return job.job_id
