"""The parts of a service, wired in this process, and ways to fill it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.progress import Progress

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from benchmarks.data import photos
from core.errors import SeenitError
from core.ports import Embedder
from core.records import Fields, Operation

TENANT = "default"
BATCH = 64


@contextmanager
def services(
    folder: Path,
    model: str,
    *,
    durable: bool = True,
    visual: Embedder | None = None,
    **given: str,
) -> Iterator[Services]:
    """Wire the services on an empty data folder, with the model loaded."""
    read = Settings(
        data=folder / "data",
        model=model,
        device="cpu",
        durable=durable,
        **given,  # type: ignore[arg-type]  # URLs
    )
    with closing(wiring.build(read, visual=visual)) as built:
        built.visual.load()
        if model != "none" and built.visual.absent:
            raise RuntimeError(built.visual.absent)
        yield built


def ingest(
    built: Services, folder: Path, files: Sequence[bytes], fields: Fields | None = None
) -> list[Operation]:
    """Accept and settle one batch of files, as an API and a worker do; return operations."""
    uploads = [photos.upload(folder, n, data) for n, data in enumerate(files)]
    accepted = built.acceptor.uploads(TENANT, uploads, fields or Fields())
    jobs = []
    for item in accepted.items:
        if isinstance(item, SeenitError):
            raise item
        jobs.append(item.job_id)
    ended = built.ingest.run(TENANT, jobs)
    built.broker.hand.ended([(TENANT, job) for job in jobs])
    settled = [one for one in ended if one is not None]
    assert [one.kind for one in settled] == ["settled"] * len(files)
    return settled


def fill(progress: Progress, built: Services, folder: Path, files: Sequence[bytes]) -> None:
    """Ingest files batch by batch."""
    starts = range(0, len(files), BATCH)
    for start in progress.track(starts, description=f"storing {len(files)} pictures"):
        ingest(built, folder, files[start : start + BATCH])
