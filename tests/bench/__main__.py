"""`python -m tests.bench [TOPIC…]`: every speed that is promised, as ratios of one run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.bench import (
    checking,
    decoding,
    drawing,
    embedding,
    indexing,
    lookup,
    nearest,
    prompting,
    queueing,
    scaling,
    searching,
    settling,
    stages,
    verdicts,
)
from tests.bench.rows import Row, Topic, show, write

TOPICS: dict[str, Topic] = {
    "decoding": decoding.rows,
    "lookup": lookup.rows,
    "searching": searching.rows,
    "settling": settling.rows,
    "queueing": queueing.rows,
    "stages": stages.rows,
    "embedding": embedding.rows,
    "verdicts": verdicts.rows,
    "checking": checking.rows,
    "scaling": scaling.rows,
    "nearest": nearest.rows,
    "features": indexing.rows,
    "drawings": drawing.rows,
    "prompts": prompting.rows,
    "million": nearest.million,
}
LONG = ("features", "million")
"""Hours each: only where they are named."""


def main() -> None:
    """Run the topics named, or all but the long ones; a table on the terminal, JSON in a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("topics", nargs="*", choices=[[], *TOPICS], default=[], metavar="TOPIC")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    asked = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    console = Console()
    measured: list[Row] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *Progress.get_default_columns()[1:],
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for name in asked.topics or [one for one in TOPICS if one not in LONG]:
            measured += TOPICS[name](progress)
            write(measured, asked.out)
    show(measured, console)
    console.print(f"written to {asked.out}")


if __name__ == "__main__":
    main()
