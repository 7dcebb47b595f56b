"""Photos a second from upload to verdict: embedded, and by one and two workers over Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.progress import Progress

from benchmarks.data import models, photos
from benchmarks.data.photos import Kind
from benchmarks.report import Row, Run
from benchmarks.topics import check_latency
from tests.backends import servers
from tests.e2e.fleet import Fleet, fleet
from tests.e2e.service import Service, serving


class Size(NamedTuple):
    """Numbers of uploads, and of workers that settle them."""

    files: int
    request: int
    """Files in one upload."""
    warm: int
    """Files settled before the clock starts."""
    workers: tuple[int, ...]


FULL = Size(256, 32, 32, (1, 2))
QUICK = Size(8, 4, 4, (1,))


def rows(run: Run) -> list[Row]:
    """Measure each service on the same files, and checks of the distributed one."""
    size = QUICK if run.quick else FULL
    model = models.mini()
    made = {
        source.kind: source.uploads(run.progress, size.files + size.warm) for source in run.sources
    }
    found: dict[Kind, dict[str, float]] = {kind: {} for kind in made}

    def rate(service: Service | Fleet, name: str) -> None:
        check_latency.until_loaded(service, model)
        for kind, files in made.items():
            found[kind][name] = _rate(run.progress, service, files, size, f"{name}, {kind}")

    with (
        photos.folder() as folder,
        serving(folder / "data", SEENIT_MODEL=check_latency.named(model)) as service,
    ):
        rate(service, "embedded")
    checks = []
    for workers in size.workers:
        with _fleet(workers, check_latency.named(model)) as running:
            name = f"{workers} worker{'s' * (workers > 1)}"
            rate(running, name)
            where = f", over Redis and Weaviate, {name}"
            checks += [check_latency.row(run, running, one, model, where) for one in run.sources]
    return [
        *(
            Row(
                work="upload to verdict, a second: one worker over Redis",
                photos=kind,
                unit="photos/s",
                value=rates["1 worker"],
                details={
                    "model": model.name if model else "none",
                    "files": len(made[kind]) - size.warm,
                    **rates,
                },
            )
            for kind, rates in found.items()
        ),
        *checks,
    ]


@contextmanager
def _fleet(workers: int, model: str) -> Iterator[Fleet]:
    """Start an API and `workers` workers over their own Redis and Weaviate."""
    with (
        photos.folder() as folder,
        servers.redis(folder / "redis") as redis,
        servers.weaviate(folder / "weaviate") as weaviate,
        fleet(
            folder / "fleet",
            redis=redis.url,
            weaviate=weaviate.url,
            workers=workers,
            SEENIT_DURABLE="true",
            SEENIT_MODEL=model,
        ) as running,
    ):
        yield running


def _rate(
    progress: Progress, service: Service | Fleet, files: Sequence[bytes], size: Size, name: str
) -> float:
    """Return photos settled a second, from the first request to the last verdict."""
    measured = files[size.warm :]
    _send(service, files[: size.warm], size.request)
    service.settled(300)
    task = progress.add_task(f"{name}: {len(measured)} photos", total=None)
    began = time.perf_counter()
    _send(service, measured, size.request)
    service.settled(600)
    taken = time.perf_counter() - began
    progress.remove_task(task)
    return len(measured) / taken


def _send(service: Service | Fleet, files: Sequence[bytes], request: int) -> None:
    for start in range(0, len(files), request):
        parts = [
            (f"{start + n}.jpg", data) for n, data in enumerate(files[start : start + request])
        ]
        service.upload(parts).raise_for_status()
