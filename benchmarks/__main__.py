"""The command `python -m benchmarks [--quick] [TOPIC…]`: promised speeds, as ratios in one run."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.data import photos
from benchmarks.data.photos import MadePhotos, PhotosError, PhotoSource, RealPhotos
from benchmarks.report import Row, Run, Topic, show, write
from benchmarks.topics import (
    bytes_to_verdict,
    check_latency,
    decoding,
    drawing_recall,
    embedding,
    exact_search,
    hybrid_search,
    keepalive,
    prompt_building,
    queueing,
    settling,
    stages,
    weaviate_features,
    weaviate_recall,
    worker_scaling,
)

TOPICS: dict[str, Topic] = {
    "decoding": decoding.rows,
    "lookup": exact_search.rows,
    "searching": hybrid_search.rows,
    "settling": settling.rows,
    "queueing": queueing.rows,
    "stages": stages.rows,
    "embedding": embedding.rows,
    "verdicts": bytes_to_verdict.rows,
    "keepalive": keepalive.rows,
    "checking": check_latency.rows,
    "scaling": worker_scaling.rows,
    "nearest": weaviate_recall.rows,
    "features": weaviate_features.rows,
    "drawings": drawing_recall.rows,
    "prompts": prompt_building.rows,
    "million": weaviate_recall.million,
}
LONG = ("nearest", "features", "million")
"""Topics of `make measure`, which take hours: run only by name, or with --quick."""
OUT = Path("out/bench.json")
OUT_QUICK = Path("out/bench-quick.json")


def main() -> None:
    """Run the named topics, or all but the long ones; print a table and write JSON.

    A topic that fails is shown with its reason, the others are measured, and the exit code is 1.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", choices=[[], *TOPICS], default=[], metavar="TOPIC")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="every topic, the long ones too, on a few pictures: that they run, not how fast",
    )
    parser.add_argument(
        "--out", type=Path, help=f"where JSON goes: {OUT}, or {OUT_QUICK} with --quick"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    console = Console()
    try:
        sources = _sources(console)
    except PhotosError as error:
        sys.exit(str(error))
    out = arguments.out or (OUT_QUICK if arguments.quick else OUT)
    measured: list[Row] = []
    taken: dict[str, float] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *Progress.get_default_columns()[1:],
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        run = Run(progress, arguments.quick, sources)
        for name in arguments.topics or [
            one for one in TOPICS if arguments.quick or one not in LONG
        ]:
            began = time.perf_counter()
            measured += _rows(name, run)
            taken[name] = time.perf_counter() - began
            write(measured, out, quick=arguments.quick, seconds=taken)
    show(measured, console, quick=arguments.quick)
    console.print(f"written to {out}")
    if failed := [row.topic for row in measured if row.failed]:
        sys.exit(f"failed: {', '.join(failed)}")


def _sources(console: Console) -> Sequence[PhotoSource]:
    """Return made photos, and real ones if named, and print which. Raise PhotosError."""
    folder = photos.named()
    if folder is None:
        console.print("SEENIT_PHOTOS is not set: made photos only, so no figure is of real ones.")
        return [MadePhotos()]
    real = RealPhotos(folder)
    console.print(f"made photos, and {len(real.paths):,} real ones of {folder}")
    return [MadePhotos(), real]


def _rows(name: str, run: Run) -> list[Row]:
    """Measure one topic; return a row without a figure if it fails or lacks a server."""
    try:
        rows = TOPICS[name](run)
    except pytest.skip.Exception as skipped:  # what tests.backends.requirements raises
        rows = [Row(work=name, unit="", value=None, details={"needs": str(skipped)})]
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the others are measured
        run.progress.console.print_exception()
        rows = [Row(work=name, unit="", value=None, failed=f"{type(error).__name__}: {error}")]
    if run.quick:  # targets are of the full sizes
        rows = [replace(row, target=None) for row in rows]
    return [replace(row, topic=name) for row in rows]


if __name__ == "__main__":
    main()
