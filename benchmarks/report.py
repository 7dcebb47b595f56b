"""Reports of benchmarks: a row for each promise, printed as a table and written as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.data.photos import Kind, PhotoSource


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure and its target; None if this machine could not measure it."""

    work: str
    unit: str
    value: float | None
    target: float | None = None
    better: Literal["more", "less"] = "more"
    photos: Kind | None = None
    """Kind of photos it was measured on; None if there are none."""
    topic: str = ""
    failed: str | None = None
    """Reason why a figure is missing."""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def kept(self) -> bool | None:
        """Return whether the target is met; None without a target or figure."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.better == "more" else self.value <= self.target


class Run(NamedTuple):
    """One run of the benchmarks: its progress display, its size and its photos."""

    progress: Progress
    quick: bool
    """Whether counts are minimal, which shows that all topics run, not how fast."""
    sources: Sequence[PhotoSource]
    """Made photos, then real ones if there are any."""

    @property
    def best(self) -> PhotoSource:
        """Return real photos, else made ones, for a topic that takes too long for both."""
        return self.sources[-1]


Topic = Callable[[Run], list[Row]]


def show(rows: Sequence[Row], console: Console, *, quick: bool = False) -> None:
    """Print rows as one table, the details of each figure below its name."""
    title = "Seenit, measured in one run"
    if quick:
        title += " of the quick form: figures of so few pictures mean nothing"
    table = Table("work", "photos", "target", "measured", "kept", title=title)
    for row in rows:
        sign = "≥" if row.better == "more" else "≤"
        target = "" if row.target is None else f"{sign} {row.target:g} {row.unit}"
        measured = "not measured" if row.value is None else f"{row.value:.3g} {row.unit}"
        if row.failed:
            measured = f"failed: {row.failed}"
        kept = {True: "yes", False: "NO", None: ""}[row.kept]
        parts = "\n".join(f"  {name}: {_plain(value)}" for name, value in row.details.items())
        work = f"{row.work}\n[dim]{parts}[/dim]" if parts else row.work
        table.add_row(work, row.photos or "", target, measured, kept)
    console.print(table)


def write(
    rows: Sequence[Row], path: Path, *, quick: bool = False, seconds: Mapping[str, float]
) -> None:
    """Write rows as JSON, with the machine and the seconds of each topic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine(),
        "quick": quick,
        "seconds": {topic: round(taken, 1) for topic, taken in seconds.items()},
        "rows": [{**asdict(row), "kept": row.kept} for row in rows],
    }
    path.write_text(json.dumps(report, indent=1, allow_nan=False))


def machine() -> dict[str, object]:
    """Return the facts of the machine that figures depend on."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


def fastest(act: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Return the minimum seconds of `times` runs, by the clock and of this thread's CPU time.

    Work of one thread is judged by its CPU time, which leaves out other work of the machine.
    """
    clocks, cpus = [], []
    for _ in range(times):
        clock, cpu = time.perf_counter(), time.thread_time()
        act()
        cpus.append(time.thread_time() - cpu)
        clocks.append(time.perf_counter() - clock)
    return min(clocks), min(cpus)


def ratio(
    one: Callable[[], object], other: Callable[[], object], times: int = 5
) -> tuple[float, float]:
    """Return the minimum seconds of both, run in turns under the same load."""
    pairs = [(seconds(one), seconds(other)) for _ in range(times)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def seconds(act: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
