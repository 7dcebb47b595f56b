"""What a benchmark says: a row a promise, printed as a table and written as JSON."""

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
    """One figure, and what it was hoped to be; None where this machine could not measure it."""

    work: str
    unit: str
    value: float | None
    target: float | None = None
    better: Literal["more", "less"] = "more"
    photos: Kind | None = None
    """What it was measured on; None where no photo is looked at."""
    topic: str = ""
    failed: str | None = None
    """Why there is no figure, where there should be one."""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def kept(self) -> bool | None:
        """Whether the target is met; None where there is none, or no figure."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.better == "more" else self.value <= self.target


class Run(NamedTuple):
    """One run of the benchmarks: where progress is shown, how much is done, and on which photos."""

    progress: Progress
    quick: bool
    """Whether counts are as small as they can be: it shows that all topics run, not how fast."""
    sources: Sequence[PhotoSource]
    """Made photos, then real ones where there are any."""

    @property
    def best(self) -> PhotoSource:
        """Real photos, else made ones: for a topic that takes too long for both."""
        return self.sources[-1]


Topic = Callable[[Run], list[Row]]


def show(rows: Sequence[Row], console: Console, *, quick: bool = False) -> None:
    """Print them as one table, the parts of each figure below its name."""
    title = "Seenit, measured in one run"
    if quick:
        title += " of the quick form: figures of so few pictures say nothing"
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
    """Write them as JSON, with the machine they were measured on and the seconds of each topic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "machine": machine(),
        "quick": quick,
        "seconds": {topic: round(taken, 1) for topic, taken in seconds.items()},
        "rows": [{**asdict(row), "kept": row.kept} for row in rows],
    }
    path.write_text(json.dumps(said, indent=1, allow_nan=False))


def machine() -> dict[str, object]:
    """What a figure depends on."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


def fastest(act: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Least seconds of so many runs, by the clock and of this thread's own CPU time.

    Work of one thread is judged by its CPU time: it does not count what else the machine did.
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
    """The quickest seconds of both, run in turns so that both meet the same machine."""
    pairs = [(seconds(one), seconds(other)) for _ in range(times)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def seconds(act: Callable[[], object]) -> float:
    """Of one run."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
