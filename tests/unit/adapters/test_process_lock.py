"""The lock of a data folder says why it cannot be taken, whatever the system says."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import NoReturn

import pytest

from adapters.process_lock import EngineLock
from core.errors import EngineUnavailableError


def test_one_holds_it_and_others_see_that(tmp_path: Path) -> None:
    """Looking takes nothing away, and leaves no trace of a holder."""
    one, other = EngineLock(tmp_path), EngineLock(tmp_path)
    assert not other.taken()
    assert one.holder is None
    assert one.take()
    assert other.taken()
    assert not other.take()
    assert other.holder == os.getpid()
    one.release()
    assert not one.taken()
    assert other.take()
    other.release()


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.ENOSYS, errno.EIO, errno.EOPNOTSUPP, errno.EINVAL]
)
def test_a_file_system_without_locks_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Never a lock of another kind instead: a file that merely exists outlives its process."""

    def refuse(*_: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = EngineLock(tmp_path)
    for attempt in (lock.take, lock.taken):
        with pytest.raises(EngineUnavailableError, match=r"engine\.lock cannot be taken: "):
            attempt()
    monkeypatch.undo()
    assert lock.take()
    lock.release()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EMFILE])
def test_a_file_that_cannot_be_opened_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """No permission, a read-only or full disk, too many open files; it recovers by itself."""
    real = os.open

    def refuse(path: str, *rest: int) -> int:
        if str(path).endswith("engine.lock"):
            raise OSError(number, os.strerror(number), path)
        return real(path, *rest)

    lock = EngineLock(tmp_path)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(EngineUnavailableError, match=os.strerror(number).lower()):
        lock.take()
    monkeypatch.undo()
    assert lock.take()
    lock.release()


def test_a_folder_that_is_a_file_is_a_reason(tmp_path: Path) -> None:
    """Making the lock touches nothing; taking it reports the reason."""
    (tmp_path / "data").write_bytes(b"")
    lock = EngineLock(tmp_path / "data")
    with pytest.raises(EngineUnavailableError, match="cannot be taken"):
        lock.take()
