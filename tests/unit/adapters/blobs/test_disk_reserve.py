"""The bytes set aside for a full disk: when they are kept, and what may take their place."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.blobs import directory
from adapters.blobs.directory import DirectoryBlobs
from adapters.blobs.disk_reserve import ENOUGH, RESERVE, DiskReserve
from core.errors import DiskFullError

WRITE = Path.write_bytes


def full(monkeypatch: pytest.MonkeyPatch, reserve: Path) -> None:
    """Let the disk have no space as long as the reserve takes it up."""

    def write(path: Path, data: bytes) -> int:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return WRITE(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)


def test_the_reserve_is_kept_only_where_there_is_space(tmp_path: Path) -> None:
    """It is made once, again after it was released, and never takes what uploads need."""
    path = tmp_path / ".reserve"
    reserve = DiskReserve(path)
    assert not reserve.release()
    reserve.fill(ENOUGH - 1)
    assert not path.exists()
    reserve.fill(ENOUGH)
    assert path.stat().st_size == RESERVE <= path.stat().st_blocks * 512
    before = path.stat().st_ino
    reserve.fill(ENOUGH)
    assert path.stat().st_ino == before
    assert reserve.release()
    reserve.fill(ENOUGH)
    assert [one.name for one in tmp_path.iterdir()] == [".reserve"]


def test_creates_take_its_place_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of several at once; the bytes of an upload do not, and it is no object by itself."""
    blobs = DirectoryBlobs(tmp_path / "blobs", durable=False)
    monkeypatch.setattr(DirectoryBlobs, "free", lambda _: ENOUGH)
    blobs.keep_reserve()
    full(monkeypatch, tmp_path / "blobs" / ".reserve")
    with pytest.raises(DiskFullError, match="No space left"):
        blobs.put([("blobs/t/a", b"large")])
    assert list(blobs.keys("")) == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: blobs.create(f"pending/t/{n}", b"small"), range(8)))
    assert len(list(blobs.keys("pending/t/"))) == 8
    blobs.put([("blobs/t/a", b"large")])


def test_a_disk_that_is_full_without_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the disk, and no file is left behind."""
    blobs = DirectoryBlobs(tmp_path / "blobs", durable=False)

    def write(path: Path, data: bytes) -> int:
        WRITE(path, data[:1])
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(Path, "write_bytes", write)
    monkeypatch.setattr(DirectoryBlobs, "free", lambda _: directory.RELEASED - 1)
    with pytest.raises(DiskFullError, match="quota exceeded"):
        blobs.create("pending/t/1", b"small")
    assert [one for one in (tmp_path / "blobs").rglob("*") if one.is_file()] == []
