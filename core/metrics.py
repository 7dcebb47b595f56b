"""Figures of the stages between an upload and its verdict, and a meter that keeps none."""

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
"""`batch` is all that is done to a batch of jobs; `candidates` is reading what may be alike,
`settle` deciding and appending, `project` one entry onto the index, `query` answering a question of
the API, `sweep` one look at what is pending."""
Span = Literal["queue", "transit", "verdict"]
"""Accepted to taken up; enqueued to received; accepted to settled."""
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
    """Where figures go. Telling one never fails, never waits, and names no tenant."""

    def took(self, stage: Stage, seconds: float, pictures: int = 1) -> None:
        """A stage is through with so many pictures."""

    def waited(self, span: Span, seconds: float) -> None:
        """One job has waited so long."""

    def count(self, event: Event, n: int = 1, **labels: str) -> None:
        """Something happened, so many times."""

    def gauge(self, level: Level, value: float) -> None:
        """How much there is at present."""


class Unmetered:
    """Keeps no figures."""

    def took(self, stage: Stage, seconds: float, pictures: int = 1) -> None:
        """Nothing."""

    def waited(self, span: Span, seconds: float) -> None:
        """Nothing."""

    def count(self, event: Event, n: int = 1, **labels: str) -> None:
        """Nothing."""

    def gauge(self, level: Level, value: float) -> None:
        """Nothing."""


UNMETERED = Unmetered()


@contextmanager
def timed(meter: Meter, stage: Stage, pictures: int = 1) -> Iterator[None]:
    """Time a stage, also one that raises; nothing for no pictures."""
    started = time.perf_counter()
    try:
        yield
    finally:
        if pictures:
            meter.took(stage, time.perf_counter() - started, pictures)
