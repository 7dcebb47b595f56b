"""The serial run: the same uploads one at a time, in the order of a log, embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters import wiring
from adapters.settings import Settings
from core.ingest.accept import Upload
from core.records import Fields, Job
from core.types import Verdict

Told = tuple[str, int | None, list[int]]
"""Kind, number of the original's file, numbers of the files that confirmed it."""


def serial(folder: Path, files: Sequence[bytes], order: Sequence[int]) -> dict[int, Told]:
    """Return each file's verdict, by its number, when the files come in this order."""
    read = Settings(data=folder, model="none", caption_model="none", durable=False)
    services = wiring.build(read)
    verdicts: dict[int, Verdict] = {}
    place: dict[str, int] = {}
    try:
        for n in order:
            path = folder / "upload"
            path.write_bytes(files[n])
            upload = Upload(
                path=path,
                filename=f"{n}.jpg",
                sha256=hashlib.sha256(files[n]).hexdigest(),
                md5=hashlib.md5(files[n], usedforsecurity=False).hexdigest(),
                bytes=len(files[n]),
            )
            (job,) = services.acceptor.uploads("default", [upload], Fields()).items
            assert isinstance(job, Job)
            place[job.image_id] = n
            (operation,) = services.ingest.run("default", [job.job_id])
            assert operation is not None
            verdicts[n] = operation.states[0].verdict
    finally:
        services.close()
    return {n: plain(verdict, place) for n, verdict in verdicts.items()}


def plain(verdict: Verdict, place: Mapping[str, int]) -> Told:
    """Return a verdict with file numbers in place of ids."""
    return (
        verdict.kind,
        place[verdict.original] if verdict.original else None,
        sorted(place[match.image_id] for match in verdict.matches if match.confirmed),
    )
