"""A warning that repeats without end leaves few lines, and their number."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from adapters.settings import Settings
from cli.server.log_throttle import BURST, EVENTS, LogThrottle
from cli.server.logs import log_to


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def handler() -> Iterator[logging.StreamHandler[io.StringIO]]:
    """Yield the handler of a service's log, writing to memory; the tests' log stays as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # else basicConfig closes those of pytest
    log_to(Settings(log_format="json", log_level="info"))
    (made,) = root.handlers
    assert isinstance(made, logging.StreamHandler)
    made.setStream(io.StringIO())
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def record(event: object = "refused", level: int = logging.WARNING) -> logging.LogRecord:
    """Return a line of the log."""
    return logging.LogRecord("seenit", level, __file__, 1, event, None, None)


def test_a_flood_leaves_its_first_lines_and_a_count() -> None:
    """One line more passes a tenth of a second later, with the number left out."""
    clock = Clock()
    throttle = LogThrottle(clock)
    assert [throttle.filter(record()) for _ in range(BURST + 500)].count(True) == BURST
    clock.now = 0.15
    late = record()
    assert throttle.filter(late)
    assert vars(late)["suppressed"] == 500
    assert not throttle.filter(record())


def test_other_events_and_lower_levels_pass() -> None:
    """Another event has a bucket of its own; information is never left out."""
    throttle = LogThrottle(Clock())
    for _ in range(2 * BURST):
        throttle.filter(record())
        assert throttle.filter(record("settled", logging.INFO))
    assert throttle.filter(record("lost", logging.ERROR))


def test_events_without_number_take_no_memory_without_end() -> None:
    """A caller that could name events would be counted again after so many."""
    throttle = LogThrottle(Clock())
    for n in range(3 * EVENTS):
        throttle.filter(record(f"event {n}"))
    assert len(throttle._buckets) <= EVENTS


def test_both_ways_to_log_are_counted_and_say_how_many(
    handler: logging.StreamHandler[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of structlog and of logging alike, in the log of a service."""
    clock = Clock()
    (throttle,) = handler.filters
    monkeypatch.setattr(throttle, "_clock", clock)
    for _ in range(2 * BURST):
        structlog.get_logger("doors").warning("guessed", address="x")
        logging.getLogger("below").warning("lagging", extra={"tenant": "a"})
    clock.now = 1.0
    structlog.get_logger("doors").warning("guessed", address="x")
    logging.getLogger("below").warning("lagging", extra={"tenant": "a"})
    told = [json.loads(line) for line in handler.stream.getvalue().splitlines()]
    assert len(told) == 2 * BURST + 2
    assert [one["suppressed"] for one in told[-2:]] == [BURST, BURST]
