"""Photos a second from upload to verdict: embedded, and by one and two workers over Redis."""

from __future__ import annotations

import time
from contextlib import ExitStack

from rich.progress import Progress

from tests import servers
from tests.bench import checking, photos, weights
from tests.bench.rows import Row
from tests.e2e.fleet import Fleet, fleet
from tests.e2e.service import Service, serving

FILES = 256
REQUEST = 32
"""Files in one upload."""
WARM = 32
"""Files settled before the clock starts."""


def rows(progress: Progress) -> list[Row]:
    """In one run, on the same files; and checks of the distributed service beside its ingest."""
    made = photos.files(progress, FILES + WARM, first=800_000)
    small = weights.mini()
    model = str(small) if small else "none"
    found: dict[str, float] = {}
    with photos.folder() as folder, serving(folder / "data", SEENIT_MODEL=model) as service:
        checking.until_loaded(service, model)
        found["embedded"] = _rate(progress, service, made, "embedded")
    checks = []
    for workers in (1, 2):
        with ExitStack() as stack:
            folder = stack.enter_context(photos.folder())
            redis = stack.enter_context(servers.redis(folder / "redis"))
            weaviate = stack.enter_context(servers.weaviate(folder / "weaviate"))
            running = stack.enter_context(
                fleet(
                    folder / "fleet",
                    redis=redis.url,
                    weaviate=weaviate.url,
                    workers=workers,
                    SEENIT_MODEL=model,
                    SEENIT_DURABLE="true",
                )
            )
            checking.until_loaded(running, model)
            name = f"{workers} worker{'s' * (workers > 1)}"
            found[name] = _rate(progress, running, made, name)
            where = f", over Redis and Weaviate, {name}"
            checks.append(checking.row(progress, running, made[: checking.FILES], model, where))
    return [
        Row(
            work="upload to verdict, photos of 1600 x 1200, a second: one worker over Redis",
            unit="photos/s",
            value=found["1 worker"],
            details={"model": small.name if small else "none", **found},
        ),
        *checks,
    ]


def _rate(progress: Progress, service: Service | Fleet, files: list[bytes], name: str) -> float:
    """Photos settled a second, from the first request to the last verdict."""
    _send(service, files[FILES:])
    service.settled(300)
    task = progress.add_task(f"{name}: {FILES} photos", total=None)
    began = time.perf_counter()
    _send(service, files[:FILES])
    service.settled(600)
    taken = time.perf_counter() - began
    progress.remove_task(task)
    return FILES / taken


def _send(service: Service | Fleet, files: list[bytes]) -> None:
    for start in range(0, len(files), REQUEST):
        parts = [
            (f"{start + n}.jpg", data) for n, data in enumerate(files[start : start + REQUEST])
        ]
        service.upload(parts).raise_for_status()
