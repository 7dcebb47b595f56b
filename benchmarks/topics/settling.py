"""Speed of settling in full batches on a directory, and on S3 by several workers."""

from __future__ import annotations

import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from adapters.wiring import Services
from benchmarks.data import photos
from benchmarks.report import Row, Run
from benchmarks.service import BATCH, TENANT, services
from core.errors import ExistsError
from core.event_log.decide import Claim
from core.fingerprint import visual_words
from core.fingerprint.fingerprint import encode_preview
from core.ports import Log
from core.records import Entry, Job
from core.storage.picture_store import StoredFingerprint
from core.types import Features, Fingerprint, Query
from tests.backends import servers

Times = NDArray[np.float64]
"""(2,) seconds: of this thread's CPU time, and by the clock."""


class Size(NamedTuple):
    """Numbers of batches, and of workers at once."""

    batches: int
    warm: int
    """Batches before the measurement."""
    on_s3: int
    """Batches on S3: a bucket takes some twenty requests a picture."""
    workers: tuple[int, ...]


FULL = Size(24, 4, 9, (1, 2, 4))
QUICK = Size(3, 1, 2, (1, 2))


def rows(run: Run) -> list[Row]:
    """Measure decision and append for a picture, beside its search and projection."""
    size = QUICK if run.quick else FULL
    found = []
    for durable in (True, False):
        with photos.folder() as folder, services(folder, "none", durable=durable) as built:
            taken = _settled(run.progress, built, size.batches, size.warm)
        found.append(
            Row(
                work="settling (decision and append) in full batches on a directory"
                + ("" if durable else ", not flushed"),
                unit="ms",
                value=float(taken["settling"][0]),
                target=1,
                better="less",
                details={
                    f"{part}, ms a picture": f"{cpu:.2f} of CPU, {clock:.2f} by the clock"
                    for part, (cpu, clock) in taken.items()
                },
            )
        )
    return [*found, *_on_s3(run.progress, size)]


def _on_s3(progress: Progress, size: Size) -> list[Row]:
    """Measure some workers of one tenant at once, each with connections of its own."""
    found = []
    with (
        photos.folder() as folder,
        servers.s3(folder / "s3") as store,
        mock.patch.dict(os.environ, store.environment),
    ):
        for workers in size.workers:
            with ExitStack() as stack:
                url = f"{store.url}/{workers}"
                data = folder / f"data-{workers}"
                built = [
                    stack.enter_context(services(data, "none", blobs_url=url))
                    for _ in range(workers)
                ]
                met = _Met()
                for one in built:
                    met.over(one.ledger._log)
                pool = stack.enter_context(ThreadPoolExecutor(workers))
                began = time.perf_counter()
                seeds = range(workers)  # no worker's uploads resemble another's
                taken = list(
                    pool.map(
                        lambda one, seed: _settled(progress, one, size.on_s3, size.warm, seed),
                        built,
                        seeds,
                    )
                )
                lasted = time.perf_counter() - began
                parts = {
                    f"{part}, ms a picture of each worker": float(
                        np.median([one[part][1] for one in taken])
                    )
                    for part in taken[0]
                }
            found.append(
                Row(
                    work=f"settling on S3 by {workers} at once, everything counted",
                    unit="ms",
                    value=lasted / (workers * size.on_s3 * BATCH) * 1e3,
                    better="less",
                    details={**parts, "conflicts per entry": met.conflicts / met.appended},
                )
            )
    return found


class _Met:
    """Counts of appends that succeeded, and that met another worker's entry."""

    def __init__(self) -> None:
        self.appended = self.conflicts = 0

    def over(self, log: Log) -> None:
        append = log.append

        def counted(tenant: str, entry: Entry) -> None:
            try:
                append(tenant, entry)
            except ExistsError:
                self.conflicts += 1
                raise
            self.appended += 1

        log.append = counted  # type: ignore[method-assign]


class _Watch:
    """A stopwatch around methods: CPU time of the thread, and the clock."""

    def __init__(self) -> None:
        self.spent = _now() * 0

    def over(self, owner: object, method: str) -> None:
        act = getattr(owner, method)

        def timed(*given: object, **named: object) -> object:
            began = _now()
            try:
                return act(*given, **named)
            finally:
                self.spent += _now() - began

        setattr(owner, method, timed)


def _settled(
    progress: Progress, built: Services, batches: int, warm: int, seed: int = 5
) -> dict[str, Times]:
    """Return the median milliseconds a picture of each part."""
    looking, projecting = _Watch(), _Watch()
    looking.over(built.index, "find_candidates")
    looking.over(built.ledger._sight, "align")
    projecting.over(built.projector, "advance")
    random = np.random.default_rng(seed)
    preview = encode_preview(np.full((384, 512, 3), 128, np.uint8))
    taken: dict[str, list[Times]] = {"settling": [], "looking up": [], "projecting": []}
    for _ in progress.track(range(batches), description="settling"):
        claims = [_claim(random) for _ in range(BATCH)]
        built.shelf.write(
            TENANT,
            [
                StoredFingerprint(
                    image_id=one.job.image_id, fingerprint=one.query.fingerprint, preview=preview
                )
                for one in claims
                if one.query
            ],
        )
        looking.spent, projecting.spent = _now() * 0, _now() * 0
        began = _now()
        ended = built.ledger.settle(TENANT, claims)
        whole = _now() - began
        assert [one.kind for one in ended if one] == ["settled"] * BATCH
        taken["settling"].append(whole - looking.spent - projecting.spent)
        taken["looking up"].append(looking.spent)
        taken["projecting"].append(projecting.spent)
    return {part: np.median(all_[warm:], axis=0) / BATCH * 1e3 for part, all_ in taken.items()}


def _now() -> Times:
    return np.array([time.thread_time(), time.perf_counter()])


def _claim(random: np.random.Generator) -> Claim:
    """Return an upload that resembles no other."""
    image_id = secrets.token_hex(16)
    digest = secrets.token_hex(32)
    job = Job(
        job_id=image_id,
        tenant=TENANT,
        image_id=image_id,
        kind="ingest",
        accepted_at="2026-01-01T00:00:00.000Z",
        sha256=digest,
        format="JPEG",
    )
    turns = [f"{int(random.integers(0, 2**63)):016x}" for _ in range(8)]
    fingerprint = Fingerprint(
        sha256=digest,
        md5=digest[:32],
        bytes=300_000,
        format="JPEG",
        frames=1,
        width=1600,
        height=1200,
        pixels_version=1,
        pixels_sha256=secrets.token_hex(32),
        turns=(turns[0], turns[1], turns[2], turns[3], turns[4], turns[5], turns[6], turns[7]),
        pdq=secrets.token_hex(32),
        pdq_quality=100,
        comparable=True,
        features=_features(random),
        features_version=visual_words.FEATURES_VERSION,
    )
    return Claim(job=job, query=Query(image_id=job.image_id, fingerprint=fingerprint))


def _features(random: np.random.Generator) -> Features:
    """Return as many features as a photo has on average, of chance."""
    keypoints, negatives = 240, 2 * visual_words._NEGATIVES
    ways = 2 * keypoints + negatives
    tables = np.arange(visual_words.TABLES) << visual_words.BITS
    words = (random.integers(0, 1 << visual_words.BITS, (ways, len(tables))) + tables).astype("<u4")
    uncertain = (ways, len(tables), visual_words.PROBES)
    return Features(
        words=words[:keypoints].tobytes(),
        mirrored=words[keypoints : 2 * keypoints].tobytes(),
        negative=words[2 * keypoints :].tobytes(),
        uncertain=random.integers(0, visual_words.BITS, uncertain, np.uint8).tobytes(),
        points=random.uniform(0, 160, (keypoints, 4)).astype("<f4").tobytes(),
        width=224,
        height=168,
    )
