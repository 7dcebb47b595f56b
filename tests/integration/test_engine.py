"""The holder of a data folder goes on whatever befalls a chore of its."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import wiring
from adapters.errands import Errand
from adapters.lock import EngineLock
from adapters.settings import Settings
from adapters.wiring import Services
from core.errors import StoreUnavailableError
from tests.e2e.talking import until
from worker import chores
from worker.engine import Engine


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """All of one process; a test starts its engine."""
    built = wiring.build(
        Settings(data=tmp_path / "data", model="none", caption_model="none", durable=False)
    )
    yield built
    built.close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An errand of the kind `count`: how often it was carried out."""
    times: list[int] = []

    def count(
        _: Services, __: Mapping[str, str], ___: Callable[[int, int], None]
    ) -> dict[str, Any]:
        times.append(1)
        return {"times": len(times)}

    monkeypatch.setitem(chores.CHORES, "count", count)
    return times


def told(services: Services, errand: Errand) -> object:
    """What came of it, None as long as nobody has said."""
    report = services.errands.look(errand)
    return report.told if report is not None and report.ended else None


def test_what_cannot_be_reported_ends_nothing_and_is_done_once(
    services: Services, counted: list[int], tmp_path: Path
) -> None:
    """A full disk, say. The lock stays taken, and what came of it is said once it can be."""
    errand = services.errands.ask("count")
    folder = tmp_path / "data" / "errands"
    (folder / f"{errand.errand_id}.progress").mkdir()  # so that nothing can be put in its place
    (folder / "cut-off.json").write_bytes(b"")
    engine = Engine(services)
    engine.start()
    try:
        until(lambda: counted == [1])
        other = services.errands.ask("count")
        assert engine.running
        assert not EngineLock(services.settings.data).take()
        (folder / f"{errand.errand_id}.progress").rmdir()
        until(lambda: told(services, errand) == {"times": 1})
        until(lambda: told(services, other) == {"times": 2})
        assert services.errands.waiting() == []
        assert sorted(path.name for path in folder.glob("*.json")) == []
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
    errand = services.errands.ask("count")
    engine = Engine(services)
    engine.start()
    try:
        until(lambda: told(services, errand) == {"times": 1})
        assert counted == [1]
    finally:
        engine.close()
