"""One engine a data directory: an OS file lock that a killed process lets go of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import EngineUnavailableError


class EngineLock:
    """Held by the process that consumes, sweeps and writes the index."""

    def __init__(self, data: Path) -> None:
        """Prepare the lock; nothing is opened before it is taken."""
        self._path = data / "engine.lock"
        self._lock = _lock(self._path)

    def take(self) -> bool:
        """Whether it is ours now; never waits.

        Raise EngineUnavailableError where the file cannot be opened or locked: no permission, a
        directory in its place, a file system that is read-only, full, or without locks.
        """
        with self._translated():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not _acquired(self._lock):
                return False
        with suppress(OSError):  # a full disk, say: it is told to people alone
            (self._path.parent / "engine.pid").write_text(str(os.getpid()))
        return True

    def taken(self) -> bool:
        """Whether some process holds it. Raise EngineUnavailableError like `take`."""
        if not self._path.parent.is_dir():
            return False
        with self._translated():
            trial = _lock(self._path)
            if not _acquired(trial):
                return True
            trial.release()
        return False

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

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, NotImplementedError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise EngineUnavailableError(f"the lock {self._path} cannot be taken: {why}") from error


def _lock(path: Path) -> FileLock:
    """A lock of the system's, or none: a file that merely exists would outlive a killed process."""
    return FileLock(path, fallback_to_soft=False)


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
