"""Latency of `POST /v1/check` at a steady rate while uploads are being settled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import httpx

from benchmarks.data import models, photos
from benchmarks.data.models import BenchmarkModel
from benchmarks.data.photos import PhotoSource
from benchmarks.report import Row, Run
from tests.e2e.fleet import Fleet
from tests.e2e.service import Service, serving

RATE = 20
SECONDS, SECONDS_QUICK = 15, 1
FILES, FILES_QUICK = 48, 6
UPLOADING = 4
"""Files in one request of the client that uploads without pause."""
CLIENTS = 64


def rows(run: Run) -> list[Row]:
    """Measure p50 and p99 of checks sent 20 a second, without waiting for earlier ones."""
    return [_row(run, source) for source in run.sources]


def _row(run: Run, source: PhotoSource) -> Row:
    model = models.mini()
    with photos.folder() as folder, serving(folder / "data", SEENIT_MODEL=named(model)) as service:
        task = run.progress.add_task("waiting for the model", total=None)
        until_loaded(service, model)
        run.progress.remove_task(task)
        return row(run, service, source, model)


def named(model: BenchmarkModel | None) -> str:
    """Return the value of SEENIT_MODEL for a model."""
    return str(model.folder) if model else "none"


def row(
    run: Run,
    service: Service | Fleet,
    source: PhotoSource,
    model: BenchmarkModel | None,
    where: str = "",
) -> Row:
    """Measure p50 and p99 of a running service that also ingests."""
    files = source.uploads(run.progress, FILES_QUICK if run.quick else FILES)
    uploaded, refused, taken = _measured(run, service, files)
    taken.sort()
    return Row(
        work=f"POST /v1/check while ingest runs, 20 requests a second, p99{where}",
        photos=source.kind,
        unit="s",
        value=taken[int(len(taken) * 0.99)],
        target=1,
        better="less",
        details={
            "model": model.name if model else "none",
            "p50, s": taken[len(taken) // 2],
            "slowest, s": taken[-1],
            "checks": len(taken),
            "answers of 503, retried after Retry-After": refused,
            "uploads settled meanwhile, a second": uploaded,
        },
    )


def until_loaded(service: Service | Fleet, model: BenchmarkModel | None) -> None:
    """Wait until readiness reports the model."""
    deadline = time.monotonic() + 300
    while model is not None:
        parts = service.client.get("/health/ready").json()["parts"]
        if parts["visual"] == "ok":
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the model did not load: {parts}")
        time.sleep(0.2)


def _measured(
    run: Run, service: Service | Fleet, files: list[bytes]
) -> tuple[float, int, list[float]]:
    """Return uploads settled a second, answers of 503, and each check's seconds since due."""
    refused: list[int] = []
    with (
        _uploading(service, files) as uploaded,
        httpx.Client(
            base_url=service.url, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)
        ) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        began = time.perf_counter()

        def check(n: int) -> float:
            while True:
                answer = client.post("/v1/check", files={"file": files[n % len(files)]})
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                refused.append(n)
                time.sleep(float(answer.headers["Retry-After"]))
            answer.raise_for_status()
            return time.perf_counter() - began - n / RATE

        sent = []
        checks = range(RATE * (SECONDS_QUICK if run.quick else SECONDS))
        for n in run.progress.track(checks, description="checking"):
            time.sleep(max(0.0, began + n / RATE - time.perf_counter()))
            sent.append(pool.submit(check, n))
        taken = [one.result() for one in sent]
        rate = sum(uploaded) / (time.perf_counter() - began)
    return rate, len(refused), taken


@contextmanager
def _uploading(service: Service | Fleet, files: list[bytes]) -> Iterator[list[int]]:
    """Upload one request after another meanwhile; yield the files that each settled."""
    over = threading.Event()
    uploaded: list[int] = []

    def upload() -> None:
        with httpx.Client(base_url=service.url, timeout=120) as client:
            for n in count():
                if over.is_set():
                    return
                # A byte after the end makes each a file of its own; its pixels are known.
                parts = [
                    (
                        "file",
                        (
                            f"{n}-{m}.jpg",
                            files[(n * UPLOADING + m) % len(files)] + bytes([n % 251, m]),
                        ),
                    )
                    for m in range(UPLOADING)
                ]
                client.post("/v1/images?wait=60", files=parts).raise_for_status()
                uploaded.append(UPLOADING)

    uploader = threading.Thread(target=upload)
    uploader.start()
    try:
        yield uploaded
    finally:
        over.set()
        uploader.join()
