"""One engine a data directory: an OS file lock that a killed process lets go of."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class EngineLock:
    """Held by the process that consumes, sweeps and writes the index."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._path = data / "engine.lock"
        self._lock = FileLock(self._path)

    def take(self) -> bool:
        """Whether it is ours now; never waits."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        with suppress(OSError):  # a full disk, say: it is told to people alone
            (self._path.parent / "engine.pid").write_text(str(os.getpid()))
        return True

    @property
    def holder(self) -> int | None:
        """Process id of the last one to take it, as far as it is known."""
        try:
            return int((self._path.parent / "engine.pid").read_text())
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Let go; the next to ask has it."""
        self._lock.release()
