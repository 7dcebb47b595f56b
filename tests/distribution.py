"""Distribution of a run over two processes: whole services in one, everything else in the other."""

from __future__ import annotations

import os

from xdist.scheduler import LoadScopeScheduling

PROCESSES = 2
"""Tests of services keep one core busy on average: a third process would have none to itself."""
TOGETHER = {
    **dict.fromkeys(("tests/e2e/", "tests/hard/", "tests/doors/"), "services"),
    **dict.fromkeys(("tests/contract/", "tests/integration/"), "servers"),
}
"""Folders of which one process runs all, one after the other, by what they start: processes of
Seenit, and servers that a run shares (Redis, Weaviate, a bucket)."""
APART = frozenset(f"tests/hard/test_{name}.py" for name in ("benchmarks", "late", "races"))
"""Slow modules of these folders that start no service: the other process has time for them."""


def process_count() -> int:
    """Return how many processes run tests; 0 is this one alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return PROCESSES if (cores or 1) >= PROCESSES else 0


class FolderScheduling(LoadScopeScheduling):
    """Scheduler of whole folders, and of single modules where they start nothing."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = "/".join(module.split("/", 2)[:2]) + "/"
        return module if module in APART else TOGETHER.get(folder, module)
