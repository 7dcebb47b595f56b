"""`POST /v1/check` at a steady rate while uploads are being settled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
from rich.progress import Progress

from tests.bench import photos, weights
from tests.bench.rows import Row
from tests.e2e.fleet import Fleet
from tests.e2e.service import Service

RATE = 20
SECONDS = 15
FILES = 48
UPLOADING = 4
"""Files in one request of the client that uploads without pause."""
CLIENTS = 64


def rows(progress: Progress) -> list[Row]:
    """p50 and p99 of checks that come 20 a second, whatever the earlier ones do."""
    files = photos.files(progress, FILES, first=400_000)
    small = weights.mini()
    model = str(small) if small else "none"
    with photos.folder() as folder:
        service = Service(folder / "data", settings={"SEENIT_MODEL": model}).start()
        try:
            task = progress.add_task("waiting for the model", total=None)
            until_loaded(service, model)
            progress.remove_task(task)
            return [row(progress, service, files, model)]
        finally:
            service.stop()


def row(
    progress: Progress, service: Service | Fleet, files: list[bytes], model: str, where: str = ""
) -> Row:
    """p50 and p99 of a running service that also ingests."""
    uploaded, refused, taken = _measured(progress, service, files)
    taken.sort()
    return Row(
        work=f"POST /v1/check while ingest runs, 20 requests a second, p99{where}",
        unit="s",
        value=taken[int(len(taken) * 0.99)],
        target=1,
        better="less",
        details={
            "model": Path(model).name,
            "p50, s": taken[len(taken) // 2],
            "slowest, s": taken[-1],
            "checks": len(taken),
            "answers of 503, tried again when they said": refused,
            "uploads settled meanwhile, a second": uploaded,
        },
    )


def until_loaded(service: Service | Fleet, model: str) -> None:
    """Wait until readiness says that the model is there."""
    deadline = time.monotonic() + 300
    while model != "none":
        parts = service.client.get("/health/ready").json()["parts"]
        if parts["visual"] == "ok":
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the model did not load: {parts}")
        time.sleep(0.2)


def _measured(
    progress: Progress, service: Service | Fleet, files: list[bytes]
) -> tuple[float, int, list[float]]:
    """Uploads settled a second, answers of 503, and each check's seconds from when it was due."""
    over = threading.Event()
    refused: list[int] = []
    uploaded = 0

    def upload() -> None:
        nonlocal uploaded
        with httpx.Client(base_url=service.url, timeout=120) as client:
            for n in count():
                if over.is_set():
                    return
                # A byte after the end makes each a file of its own; its pixels are known.
                parts = [
                    (
                        "file",
                        (f"{n}-{m}.jpg", files[(n * UPLOADING + m) % FILES] + bytes([n % 251, m])),
                    )
                    for m in range(UPLOADING)
                ]
                client.post("/v1/images?wait=60", files=parts).raise_for_status()
                uploaded += UPLOADING

    uploader = threading.Thread(target=upload)
    uploader.start()
    with (
        httpx.Client(
            base_url=service.url, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)
        ) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        began = time.perf_counter()

        def check(n: int) -> float:
            while True:
                answer = client.post("/v1/check", files={"file": files[n % FILES]})
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                refused.append(n)
                time.sleep(float(answer.headers["Retry-After"]))
            answer.raise_for_status()
            return time.perf_counter() - began - n / RATE

        asked = []
        for n in progress.track(range(RATE * SECONDS), description="checking"):
            time.sleep(max(0.0, began + n / RATE - time.perf_counter()))
            asked.append(pool.submit(check, n))
        taken = [one.result() for one in asked]
        lasted = time.perf_counter() - began
    rate = uploaded / lasted
    over.set()
    uploader.join()
    return rate, len(refused), taken
