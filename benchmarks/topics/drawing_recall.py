"""Recall of line drawings by a rough redrawing, and of their copies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import Progress

from adapters.wiring import Services
from benchmarks.data import line_drawings, photos
from benchmarks.data import models as weights
from benchmarks.data.models import BenchmarkModel
from benchmarks.report import Row, Run
from benchmarks.service import TENANT, fill, ingest, services
from core.index_port import Filters
from core.search.searcher import SearchRequest
from evaluation.edits import EDITS, jpeg

TRAINED = ("dual-encoder", "mini-clip")
COPIES = ("jpeg-30", "half", "grey", "mirror", "quarter-turn", "turn-10", "crop-70", "border")


class Size(NamedTuple):
    """Numbers of drawings of each kind."""

    made: int
    queries: int
    """Drawings whose copies are checked in each edit."""
    fresh: int
    """Further drawings, each of which is new."""
    around: int
    """Photos among which a drawing is searched."""


FULL = Size(100, 40, 60, 1_000)
QUICK = Size(6, 2, 3, 8)


def rows(run: Run) -> list[Row]:
    """Measure drawings among photos by each trained model, and their copies without one."""
    size = QUICK if run.quick else FULL
    with photos.folder() as folder:
        models = [one for name in TRAINED if (one := weights.trained(name))]
        if run.quick and not models:
            models = [weights.tiny(folder)]
        measured = [row for model in models for row in _measure(run, size, model)]
    with photos.folder() as folder, services(folder, "none", durable=False) as built:
        measured += _copies(run.progress, size, built, folder, "no model")
    return measured


def _measure(run: Run, size: Size, model: BenchmarkModel) -> list[Row]:
    around = run.best.stored(run.progress, size.around)
    measured: list[Row] = []
    with (
        photos.folder() as folder,
        services(folder, str(model.folder), durable=False) as built,
    ):
        fill(run.progress, built, folder, around)
        for kind, make in line_drawings.KINDS.items():
            lines = [make(seed) for seed in range(size.made)]
            ids = _store(built, folder, [jpeg(line_drawings.drawn(one), 92) for one in lines])
            ranks = []
            title = f"redrawn: {kind}, {model.name}"
            for n in run.progress.track(range(size.made), description=title):
                query = jpeg(line_drawings.redrawn(lines[n], n), 85)
                vector = built.searcher.see(TENANT, query)
                ask = SearchRequest(vector=vector, mode="visual", limit=200, filters=Filters())
                hits = built.searcher.search(TENANT, ask).hits
                found = [hit.seen.record.state.image_id for hit in hits]
                ranks.append(found.index(ids[n]) if ids[n] in found else len(found))
            found_at = {f"R@{k}": float(np.mean(np.array(ranks) < k)) * 100 for k in (1, 5, 10)}
            among = len(around) + size.made
            measured.append(
                Row(
                    work=f"{kind}: found by a rough redrawing among {among}, {model.name}",
                    photos=run.best.kind,
                    unit="% in 10",
                    value=found_at["R@10"],
                    details={**found_at, "median rank": float(np.median(ranks)) + 1},
                )
            )
    return measured


def _store(built: Services, folder: Path, files: list[bytes]) -> list[str]:
    batches = (files[start : start + 50] for start in range(0, len(files), 50))
    return [one.image_id for batch in batches for one in ingest(built, folder, batch)]


def _copies(progress: Progress, size: Size, built: Services, folder: Path, name: str) -> list[Row]:
    measured: list[Row] = []
    for kind, make in line_drawings.KINDS.items():
        drawn = [line_drawings.drawn(make(seed)) for seed in range(size.made)]
        ids = _store(built, folder, [jpeg(one, 92) for one in drawn])
        shares: dict[str, object] = {}
        wrong = 0
        for edit in COPIES:
            right = 0
            for n in progress.track(range(size.queries), description=f"{kind}: {edit}, {name}"):
                verdict, _ = built.checker.check(TENANT, EDITS[edit].apply(drawn[n], seed=n))
                right += verdict.original == ids[n]
                wrong += verdict.original not in (None, ids[n])
            shares[edit] = f"{100 * right / size.queries:.0f} %"
        new = sum(
            one.states[0].verdict.kind == "new"
            for one in ingest(
                built,
                folder,
                [
                    jpeg(line_drawings.drawn(make(seed)), 92)
                    for seed in range(size.made, size.made + size.fresh)
                ],
            )
        )
        measured.append(
            Row(
                work=f"copies recognised: {kind}, {name}",
                unit="%",
                value=float(np.mean([float(str(one).split()[0]) for one in shares.values()])),
                details={
                    **shares,
                    "matched to another one": wrong,
                    f"different ones found new, of {size.fresh}": new,
                },
            )
        )
    return measured
