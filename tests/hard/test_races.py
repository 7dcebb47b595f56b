"""Two workers that settle at once, and an index that shows what it was given half a minute late."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core.ingest.accept import Upload
from core.records import Fields, Job, Operation
from tests.backends import servers
from tests.e2e.test_serial import variants

pytestmark = [pytest.mark.hard, pytest.mark.timeout(900)]

ROUNDS = 20


@contextmanager
def worker(folder: Path, index: str | None) -> Iterator[Services]:
    """Yield a connected worker with its own index connection; the blob store is shared."""
    given = {"index_url": index, "index_prefix": "Races"} if index else {}
    read = Settings(data=folder, model="none", caption_model="none", durable=False, **given)
    services = wiring.build(read)
    try:
        yield services
    finally:
        services.close()


def accepted(services: Services, folder: Path, files: Sequence[bytes], tenant: str) -> list[str]:
    """Pending jobs of these files."""
    uploads = []
    for n, data in enumerate(files):
        path = folder / f"{tenant}-{n}"
        path.write_bytes(data)
        uploads.append(
            Upload(
                path=path,
                filename=None,
                sha256=hashlib.sha256(data).hexdigest(),
                md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
                bytes=len(data),
            )
        )
    jobs = services.acceptor.uploads(tenant, uploads, Fields()).items
    return [job.job_id for job in jobs if isinstance(job, Job)]


@pytest.mark.parametrize("index", ["local", "weaviate"])
def test_of_twenty_edits_before_two_workers_one_is_new(tmp_path: Path, index: str) -> None:
    """Fifty rounds: all 20 confirm each other, ten go to each worker at the same moment."""
    with ExitStack() as stack:
        url = (
            stack.enter_context(servers.weaviate(tmp_path / "weaviate")).url
            if index == "weaviate"
            else None
        )
        pair = [stack.enter_context(worker(tmp_path / "data", url)) for _ in range(2)]
        pool = stack.enter_context(ThreadPoolExecutor(2))
        for n in range(ROUNDS):
            tenant = f"round-{n}"
            ids = accepted(pair[0], tmp_path, variants(n), tenant)
            start = threading.Barrier(2)

            def settle(
                services: Services,
                mine: Sequence[str],
                tenant: str = tenant,
                start: threading.Barrier = start,
            ) -> list[Operation | None]:
                start.wait()
                return services.ingest.run(tenant, mine)

            halves = [pool.submit(settle, pair[k], ids[k::2]) for k in range(2)]
            operations = [one for half in halves for one in half.result()]
            verdicts = [one.states[0].verdict for one in operations if one is not None]
            assert Counter(one.kind for one in verdicts) == {"new": 1, "near_duplicate": 19}
            (first,) = [
                one.image_id
                for one in operations
                if one is not None and one.states[0].verdict.kind == "new"
            ]
            assert {one.original for one in verdicts if one.kind != "new"} == {first}
