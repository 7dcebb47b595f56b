"""File lock that allows one engine per data folder, released when its process dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import EngineUnavailableError


class EngineLock:
    """Lock of the process that consumes, sweeps and writes the index."""

    def __init__(self, data: Path) -> None:
        """Prepare the lock; no file is opened before `take`."""
        self._path = data / "engine.lock"
        self._lock = _lock(self._path)

    def take(self) -> bool:
        """Take the lock if it is free, without waiting; return whether this process holds it.

        Raise EngineUnavailableError if the file cannot be opened or locked: no permission, a
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
        """Return whether a process holds it. Raise EngineUnavailableError like `take`."""
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
        """Return the process id of the last holder, as far as it is known."""
        try:
            return int((self._path.parent / "engine.pid").read_text())
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Release the lock for the next process."""
        self._lock.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, NotImplementedError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise EngineUnavailableError(f"the lock {self._path} cannot be taken: {why}") from error


def _lock(path: Path) -> FileLock:
    """Make a lock of the system, or fail: a file that merely exists would outlive its process."""
    return FileLock(path, fallback_to_soft=False)


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
