"""Line drawings: found by a rough redrawing, and their copies recognised."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.progress import Progress

from adapters.wiring import Services
from core.edits import EDITS, jpeg
from core.ports import Filters
from core.search import Ask
from tests import drawings
from tests.bench.rows import Row
from tests.bench.running import TENANT, fill, ingest, services

MADE = 100
"""Drawings of each kind."""
ASKED = 40
"""Of each kind, whose copies are asked about in each edit."""
COPIES = ("jpeg-30", "half", "grey", "mirror", "quarter-turn", "turn-10", "crop-70", "border")


def rows(progress: Progress) -> list[Row]:
    """Among photos, where there are any."""
    shared = os.environ.get("SEENIT_TEST_SHARED")
    names = ("dual-encoder", "mini-clip") if shared else ()
    measured: list[Row] = []
    for name in names:
        with TemporaryDirectory() as folder:
            model = str(Path(shared or "", "models", name))
            with services(Path(folder), model, durable=False) as built:
                measured += _measure(progress, built, Path(folder), name, shared or "")
    with TemporaryDirectory() as folder, services(Path(folder), "none", durable=False) as built:
        measured += _copies(progress, built, Path(folder), "no model")
    return measured


def _measure(
    progress: Progress, built: Services, folder: Path, name: str, shared: str
) -> list[Row]:
    around = sorted(Path(shared, "photos", "captioned").glob("*.jpg"))
    fill(progress, built, folder, [path.read_bytes() for path in around])
    measured: list[Row] = []
    for kind, make in drawings.KINDS.items():
        lines = [make(seed) for seed in range(MADE)]
        ids = _store(built, folder, [jpeg(drawings.drawn(one), 92) for one in lines])
        ranks = []
        for n in progress.track(range(MADE), description=f"redrawn: {kind}, {name}"):
            asked = jpeg(drawings.redrawn(lines[n], n), 85)
            vector = built.searcher.see(TENANT, asked)
            ask = Ask(vector=vector, mode="visual", limit=200, filters=Filters())
            hits = built.searcher.search(TENANT, ask).hits
            found = [hit.seen.record.state.image_id for hit in hits]
            ranks.append(found.index(ids[n]) if ids[n] in found else len(found))
        found_at = {f"R@{k}": float(np.mean(np.array(ranks) < k)) * 100 for k in (1, 5, 10)}
        measured.append(
            Row(
                work=f"{kind}: found by a rough redrawing among {len(around) + MADE}, {name}",
                unit="% in 10",
                value=found_at["R@10"],
                details={**found_at, "median rank": float(np.median(ranks)) + 1},
            )
        )
    return measured


def _store(built: Services, folder: Path, files: list[bytes]) -> list[str]:
    ids: list[str] = []
    for start in range(0, len(files), 50):
        ids += [one.image_id for one in ingest(built, folder, files[start : start + 50])]
    return ids


def _copies(progress: Progress, built: Services, folder: Path, name: str) -> list[Row]:
    measured: list[Row] = []
    for kind, make in drawings.KINDS.items():
        drawn = [drawings.drawn(make(seed)) for seed in range(MADE)]
        ids = _store(built, folder, [jpeg(one, 92) for one in drawn])
        shares: dict[str, object] = {}
        wrong = 0
        for edit in COPIES:
            right = 0
            for n in progress.track(range(ASKED), description=f"{kind}: {edit}, {name}"):
                data = EDITS[edit].apply(drawn[n], seed=n)
                verdict, _ = built.checker.check(TENANT, data)
                right += verdict.original == ids[n]
                wrong += verdict.original not in (None, ids[n])
            shares[edit] = f"{100 * right / ASKED:.0f} %"
        new = sum(
            one.states[0].verdict.kind == "new"
            for one in ingest(
                built,
                folder,
                [jpeg(drawings.drawn(make(seed)), 92) for seed in range(MADE, MADE + 60)],
            )
        )
        measured.append(
            Row(
                work=f"copies recognised: {kind}, {name}",
                unit="%",
                value=float(np.mean([float(str(one).split()[0]) for one in shares.values()])),
                details={**shares, "told of another one": wrong, "different ones told new": new},
            )
        )
    return measured
