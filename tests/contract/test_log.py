"""The log over every kind of blob store."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from adapters.blobs.opening import open_blobs
from adapters.event_log import BlobLog
from core import keys
from core.errors import CorruptError, ExistsError
from core.ports import Blobs, Log
from core.records import Entry, Operation


@pytest.fixture(params=["directory", "memory", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Return an empty store of each kind; the bucket is one of a real server."""
    if request.param == "bucket":
        store: Blobs = request.getfixturevalue("bucket")
        return store
    return open_blobs("memory://" if request.param == "memory" else str(tmp_path), durable=False)


@pytest.fixture
def log(blobs: Blobs) -> Log:
    """Return an empty log in the store."""
    return BlobLog(blobs)


def _entry(seq: int, operations: int = 1, words: str = "") -> Entry:
    return Entry(
        seq=seq,
        nonce=f"n{seq}",
        previous=f"n{seq - 1}" if seq > 1 else "",
        at="2026-01-01T00:00:00.000Z",
        pipeline_version="1",
        policy_version="1",
        operations=tuple(
            Operation(
                job=f"{words}{n}",
                kind="settled",
                job_kind="ingest",
                image_id="i",
                accepted_at="",
                finished_at="",
            )
            for n in range(operations)
        ),
    )


def test_an_entry_is_read_back_equal(log: Log) -> None:
    """None before, itself afterwards, and only for its own tenant."""
    assert log.read("t", 1) is None
    log.append("t", _entry(1))
    assert [log.read("t", 1), log.read("u", 1), log.tenants()] == [_entry(1), None, ["t"]]


def test_a_number_is_taken_once(log: Log) -> None:
    """A second append of a number raises and changes nothing."""
    log.append("t", _entry(1))
    with pytest.raises(ExistsError):
        log.append("t", _entry(1, operations=2))
    assert log.read("t", 1) == _entry(1)


def test_the_head_is_found_from_anywhere(blobs: Blobs) -> None:
    """Whatever the length and the place to start from, over the folders' borders too."""
    log = BlobLog(blobs)
    lengths = [0, 1, 2, 3, 9, 64, 65, 600]
    grown = 0
    for length in lengths:
        blobs.put([(keys.entry("t", seq), b"") for seq in range(grown + 1, length + 1)])
        grown = length
        starts = sorted({0, length // 2, max(length - 1, 0), length})
        assert [log.head("t", start) for start in starts] == [length] * len(starts)


def test_the_head_is_found_across_folders() -> None:
    """The head of a log past 10,000 entries lies in its second folder, and is found."""
    blobs = open_blobs("memory://", durable=False)
    blobs.put([(keys.entry("t", seq), b"") for seq in range(1, 10_050)])
    assert BlobLog(blobs).head("t") == 10_049


def test_a_head_that_is_gone_is_loud(log: Log) -> None:
    """A log shorter than what was seen of it has lost entries."""
    log.append("t", _entry(1))
    with pytest.raises(CorruptError, match="entry 5 of t was there and is gone"):
        log.head("t", 5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"format": 1}', "cannot be read"),
        (b'{"format": 99, "whatever": 1}', "newer version"),
        (msgspec.json.encode(_entry(3)), "calls itself 3"),
        (msgspec.json.encode(_entry(7))[:-20], "cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_corrupt(blobs: Blobs, data: bytes, words: str) -> None:
    """Half entries, foreign ones, and those of a newer version stop the reader."""
    blobs.put([(keys.entry("t", 7), data)])
    with pytest.raises(CorruptError, match=words):
        BlobLog(blobs).read("t", 7)


@pytest.mark.parametrize(("operations", "words"), [(65, ""), (2, "x" * 600_000)])
def test_too_large_an_entry_is_never_written(log: Log, operations: int, words: str) -> None:
    """More than 64 operations or 1 MB: ValueError, and the number stays free."""
    with pytest.raises(ValueError, match="at most"):
        log.append("t", _entry(1, operations, words))
    assert log.head("t") == 0
