"""Metrics of the stages between an upload and its verdict, and a meter that keeps none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

Stage = Literal[
    "batch",
    "decode",
    "embed",
    "caption",
    "candidates",
    "settle",
    "project",
    "check",
    "query",
    "sweep",
]
"""Stages: `batch` is the whole of a batch of jobs; `candidates` reads possible matches, `settle`
decides and appends, `project` puts one entry onto the index, `query` answers a call of the API,
`sweep` is one pass over pending jobs."""
Span = Literal["queue", "verdict"]
"""Spans: accepted to taken up; enqueued to received; accepted to settled."""
Event = Literal[
    "accepted",
    "entries",
    "conflicts",
    "verdicts",
    "failures",
    "requeued",
    "unavailable",
    "queries",
    "restarts",
]
Level = Literal["pending"]


class Meter(Protocol):
    """Port to metrics. Its methods never fail, never wait, and name no tenant."""

    def took(self, stage: Stage, seconds: float, pictures: int = 1) -> None:
        """Record that a stage has processed so many pictures."""

    def waited(self, span: Span, seconds: float) -> None:
        """Record the wait of a job."""

    def count(self, event: Event, n: int = 1, **labels: str) -> None:
        """Count an event, n times."""

    def gauge(self, level: Level, value: float) -> None:
        """Set the present level."""


class Unmetered:
    """Meter that keeps no metrics."""

    def took(self, stage: Stage, seconds: float, pictures: int = 1) -> None:
        """Keep no time of a stage."""

    def waited(self, span: Span, seconds: float) -> None:
        """Keep no wait of a job."""

    def count(self, event: Event, n: int = 1, **labels: str) -> None:
        """Keep no count of events."""

    def gauge(self, level: Level, value: float) -> None:
        """Keep no level at all."""


UNMETERED = Unmetered()


@contextmanager
def timed(meter: Meter, stage: Stage, pictures: int = 1) -> Iterator[None]:
    """Time a stage, also one that raises; record nothing for no pictures."""
    started = time.perf_counter()
    try:
        yield
    finally:
        if pictures:
            meter.took(stage, time.perf_counter() - started, pictures)
