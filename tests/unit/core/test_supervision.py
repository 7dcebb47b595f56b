"""A supervised thread survives whatever its function does, and says what that was."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.prometheus import PrometheusMeter
from core import backoff, supervision
from core.backoff import pause_after
from core.errors import StoreUnavailableError
from core.supervision import SupervisedThread, describe
from tests.e2e.talking import until


class Panic(BaseException):
    """A panic of Rust as Python sees it: no Exception."""


ENDS: dict[str, BaseException | None] = {
    "defect": ZeroDivisionError("by zero"),
    "memory": MemoryError(),
    "panic": Panic("called `unwrap` on None"),
    "exit": SystemExit(3),
    "refused": StoreUnavailableError("the disk is full"),
    "returned": None,
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("name", ENDS)
def test_a_thread_that_ends_runs_again(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Three times it ends by itself; the fourth time it stays."""
    end = ENDS[name]
    stop = threading.Event()
    runs: list[int] = []
    heard: list[str] = []
    meter = PrometheusMeter()

    def run() -> None:
        runs.append(1)
        if len(runs) < 4:
            if end is not None:
                raise end
            return
        stop.wait(30)

    thread = SupervisedThread(
        "one", run, stop, meter=meter, failed=lambda reason, _: heard.append(reason)
    )
    with caplog.at_level(logging.ERROR, "core.supervision"):
        thread.start()
        until(lambda: len(runs) == 4, 10.0)
    assert thread.failure == heard[0]
    stop.set()
    thread.join()
    assert len(runs) == 4
    assert len(heard) == len(caplog.records) == 3
    assert heard[0] in caplog.messages[0]
    assert meter.registry.get_sample_value("seenit_restarts_total", {"thread": "one"}) == 3
    with_traceback = [record for record in caplog.records if record.exc_info]
    assert len(with_traceback) == (0 if name == "refused" else 1)


def test_one_that_runs_steadily_has_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness forgets a failure once its thread has run for a while."""
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 0.05)
    stop = threading.Event()
    first = [True]

    def run() -> None:
        if first.pop() if first else False:
            raise ValueError("once")
        stop.wait(30)

    thread = SupervisedThread("one", run, stop)
    thread.start()
    until(lambda: thread.failure is None and not first, 10.0)
    stop.set()
    thread.join()


def test_a_stop_ends_a_pause_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service does not wait half a minute for a thread that is waiting to run again."""
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 60.0)
    stop = threading.Event()
    failed = threading.Event()

    def run() -> None:
        raise OSError(37, "No locks available")

    thread = SupervisedThread("one", run, stop, failed=lambda *_: failed.set())
    thread.start()
    assert failed.wait(10)
    begun = time.monotonic()
    stop.set()
    thread.join()
    assert time.monotonic() - begun < 5
    assert thread.failure == "OSError: [Errno 37] No locks available"


@given(st.integers(1, 10_000), st.floats(0.5, 120.0))
def test_pauses_grow_and_stay_below_the_longest(failures: int, longest: float) -> None:
    """At least half of what doubling gives, and never more than the longest."""
    pause = pause_after(failures, longest)
    assert 0 < pause <= longest
    assert pause >= min(longest, backoff.FIRST_PAUSE * 2 ** min(failures - 1, 16)) / 2


@given(st.text())
def test_a_reason_is_one_line(said: str) -> None:
    """A log line and an answer of readiness have one line for it."""
    errors: list[Callable[[str], BaseException]] = [ValueError, OSError, Panic]
    for kind in errors:
        assert len(describe(kind(said)).splitlines()) <= 1
