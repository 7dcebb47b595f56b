"""Latency of successive requests on one open connection, as a backend sends them."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from benchmarks.data import models, photos
from benchmarks.data.photos import PhotoSource
from benchmarks.report import Row, Run, seconds
from benchmarks.topics.check_latency import named, until_loaded
from tests.e2e.service import serving

FILES, FILES_QUICK = 48, 6
REQUESTS, REQUESTS_QUICK = 200, 6
WORDS = "a red bicycle by a wall"


def rows(run: Run) -> list[Row]:
    """Measure p50 of a record, a search by words and a check, one request at a time."""
    return [row for source in run.sources for row in _rows(run, source)]


def _rows(run: Run, source: PhotoSource) -> list[Row]:
    model = models.mini()
    files = source.uploads(run.progress, FILES_QUICK if run.quick else FILES)
    with photos.folder() as folder, serving(folder / "data", SEENIT_MODEL=named(model)) as service:
        until_loaded(service, model)
        client = service.client
        ids = [_upload(client, data) for data in files]

        def record(n: int) -> httpx.Response:
            return client.get(f"/v1/images/{ids[n % len(ids)]}")

        def search(_: int) -> httpx.Response:
            return client.post("/v1/search", json={"text": WORDS, "limit": 5})

        def check(n: int) -> httpx.Response:
            return client.post("/v1/check", files={"file": files[n % len(files)]})

        asks: dict[str, Callable[[int], httpx.Response]] = {
            "GET /v1/images/{id}": record,
            "POST /v1/search by words": search,
            "POST /v1/check": check,
        }
        requests = REQUESTS_QUICK if run.quick else REQUESTS
        return [
            _row(run, source, name, ask, requests, model.name if model else "none")
            for name, ask in asks.items()
        ]


def _upload(client: httpx.Client, data: bytes) -> str:
    """Store one picture and return its image_id."""
    (item,) = client.post("/v1/images?wait=60", files={"file": data}).json()["items"]
    return str(item["image_id"])


def _row(  # noqa: PLR0917 - private, one caller
    run: Run,
    source: PhotoSource,
    name: str,
    ask: Callable[[int], httpx.Response],
    requests: int,
    model: str,
) -> Row:
    tracked = run.progress.track(range(requests), description=f"requesting {name}")
    taken = sorted(1000 * seconds(lambda n=n: ask(n).raise_for_status()) for n in tracked)  # type: ignore[misc]
    return Row(
        work=f"{name} on a kept-alive connection, p50",
        photos=source.kind,
        unit="ms",
        value=taken[len(taken) // 2],
        better="less",
        details={
            "model": model,
            "p95, ms": taken[int(len(taken) * 0.95)],
            "requests": len(taken),
        },
    )
