"""Back-ups of a store that is written to meanwhile, copied in the order of docs/running.md."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core import keys
from core.errors import CorruptError
from core.ingest.accept import Upload
from core.records import Fields, Job
from tests.samples.pictures import png, tiny

ROOT = Path(__file__).parents[3]
TENANT = "t"


def documented() -> list[str]:
    """Return the order in which prefixes are to be copied; others come last."""
    text = (ROOT / "docs/running.md").read_text()
    section = text.partition("\n## Back-up and restore\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d\. `(\w+)/`", section, re.MULTILINE)


@contextmanager
def service(data: Path) -> Iterator[Services]:
    """Yield a service without models or an engine; a test settles the jobs."""
    services = wiring.build(
        Settings(data=data, model="none", caption_model="none", durable=False, decoders=1)
    )
    try:
        yield services
    finally:
        services.close()


def accept(services: Services, seed: int) -> str:
    """Promise a picture that no other one resembles."""
    data = png(tiny(seed, 48))
    path = services.settings.data / f"{seed}.png"
    path.write_bytes(data)
    upload = Upload(
        path=path,
        filename=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),
        bytes=len(data),
    )
    (job,) = services.acceptor.uploads(TENANT, [upload], Fields(title="a")).items
    assert isinstance(job, Job)
    return job.job_id


def copy(services: Services, to: Path, order: Sequence[str], between: Callable[[], None]) -> None:
    """Prefix by prefix, with something going on between any two."""
    source = services.settings.data / "blobs"
    rest = sorted(path.name for path in source.iterdir() if path.name not in order)
    for name in (*order, *rest):
        if (source / name).exists():
            shutil.copytree(source / name, to / "blobs" / name)
        between()


def backed_up(folder: Path, order: Sequence[str]) -> list[str]:
    """Copy a busy service to `folder/b`; the jobs that were accepted before."""
    seeds = iter(range(1, 1000))
    with service(folder / "a") as running:
        before = [accept(running, next(seeds)) for _ in range(3 + len(order))]
        running.ingest.run(TENANT, before[:1])
        waiting = before[1:]

        def between() -> None:
            if waiting:
                running.ingest.run(TENANT, [waiting.pop(0)])
            running.ingest.run(TENANT, [accept(running, next(seeds))])

        copy(running, folder / "b", order, between)
    return before


def restored(folder: Path, before: Sequence[str]) -> None:
    """Start on the copy: every job that was promised before it was begun ends, once."""
    with service(folder / "b") as copied:
        copied.projector.advance(TENANT)
        left = [key.rpartition("/")[2] for key in copied.blobs.keys(f"pending/{TENANT}/")]
        for job_id in left:
            copied.ingest.run(TENANT, [job_id])
        states = copied.index.read_states(TENANT, before)
        assert [state and state.verdict.kind for state in states] == ["new"] * len(before)
        told = [
            operation.job
            for seq in range(1, copied.log.head(TENANT) + 1)
            for operation in (copied.log.read(TENANT, seq) or pytest.fail("a gap")).operations
        ]
        assert len(told) == len(set(told))
        assert all(copied.blobs.exists([keys.blob(TENANT, job_id) for job_id in before]))
        assert list(copied.blobs.keys("pending/")) == []


def test_a_copy_in_the_documented_order_is_whole(tmp_path: Path) -> None:
    """It contains all that was accepted before it began, settled or pending."""
    order = documented()
    assert order[:3] == ["pending", "done", "log"]
    restored(tmp_path, backed_up(tmp_path, order))


def test_done_marks_after_the_log_break_a_copy(tmp_path: Path) -> None:
    """Why the order is as it is: a mark that names an entry that is not in the copy."""
    before = backed_up(tmp_path, ["pending", "log", "done"])
    with pytest.raises(CorruptError, match="a done mark names it"):
        restored(tmp_path, before)
