"""Every blob store keeps the same contract: a directory, a bucket, with and without flushes."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from adapters.blobs.directory import DirectoryBlobs
from adapters.blobs.object_store import ObjectStoreBlobs
from adapters.blobs.opening import open_blobs, probe
from core.errors import ExistsError, MissingError, StoreUnavailableError
from core.ports import Blobs

STORES = ("durable", "quick", "memory", "bucket")


@pytest.fixture(params=STORES)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    """Yield an empty store of each kind; the bucket is one of a real server."""
    if request.param == "memory":
        yield open_blobs("memory://", durable=True)
    elif request.param == "bucket":
        yield request.getfixturevalue("bucket")
    else:
        yield open_blobs(str(tmp_path / "store"), durable=request.param == "durable")


def test_put_is_read_back_whole_and_overwrites(blobs: Blobs, tmp_path: Path) -> None:
    """Bytes and files go in alike, the second put of a key wins, a caller's file stays his."""
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    blobs.put([("a/x/1", b"one"), ("a/x/2", file), ("a/y/3", b"")])
    blobs.put([("a/x/1", b"uno")])
    actual = blobs.get_many(["a/x/1", "a/x/2", "a/y/3", "a/x/4"])
    assert actual == [b"uno", b"from a file", b"", None]
    assert file.read_bytes() == b"from a file"


def test_missing_keys_are_told_apart(blobs: Blobs) -> None:
    """Get and stream raise MissingError at the call; exists answers in order."""
    blobs.put([("a/x/1", b"one")])
    with pytest.raises(MissingError):
        blobs.get("a/x/2")
    with pytest.raises(MissingError):
        blobs.stream("a/x/2")
    assert blobs.exists(["a/x/2", "a/x/1", "a/x"]) == [False, True, False]


def test_stream_gives_chunks_of_a_megabyte(blobs: Blobs) -> None:
    """A large object comes in several chunks that make the whole; an empty one in none."""
    whole = os.urandom(3_500_000)
    blobs.put([("a/x/1", whole), ("a/x/2", b"")])
    chunks = list(blobs.stream("a/x/1"))
    assert b"".join(chunks) == whole
    assert all(chunks)
    assert list(blobs.stream("a/x/2")) == []


def test_create_refuses_a_taken_key(blobs: Blobs) -> None:
    """A second create raises and leaves the first object alone."""
    blobs.create("a/x/1", b"one")
    with pytest.raises(ExistsError):
        blobs.create("a/x/1", b"two")
    assert blobs.get("a/x/1") == b"one"


@pytest.mark.parametrize("size", [1, 3, 70])
def test_create_many_says_which_keys_were_taken(blobs: Blobs, size: int) -> None:
    """A batch writes only the free keys, whatever its size."""
    blobs.create("a/x/0", b"first")
    items = [(f"a/{'xyz'[n % 3]}/{n}", str(n).encode()) for n in range(size)]
    assert blobs.create_many(items) == [n > 0 for n in range(size)]
    assert blobs.get_many([key for key, _ in items]) == [
        b"first",
        *(str(n).encode() for n in range(1, size)),
    ]


def test_delete_takes_everything_named_and_nothing_else(blobs: Blobs) -> None:
    """Deleting what is not there is no error."""
    blobs.put([("a/x/1/p", b"1"), ("a/x/2/p", b"2"), ("a/x/2/q", b"3")])
    blobs.delete(["a/x/1/p", "a/x/2/p", "a/x/9/p"])
    blobs.delete([])
    assert list(blobs.keys("a/")) == ["a/x/2/q"]
    assert blobs.folders("a/x/") == ["2"]


def test_keys_come_sorted_and_from_a_place_on(blobs: Blobs) -> None:
    """In the order of the whole keys, folders and files mixed, greater than `after`."""
    every = ["a/x-y", "a/x/1", "a/x/2/3", "a/x0", "a/y", "ab/z"]
    blobs.put([(key, b"") for key in reversed(every)])
    assert list(blobs.keys("a/")) == every[:5]
    assert list(blobs.keys("")) == every
    assert list(blobs.keys("a/x/")) == ["a/x/1", "a/x/2/3"]
    assert list(blobs.keys("none/")) == []
    for n, key in enumerate(every[:5]):
        assert list(blobs.keys("a/", after=key)) == every[n + 1 : 5]


def test_folders_hold_something(blobs: Blobs) -> None:
    """Only names with keys below them, not keys themselves."""
    blobs.put([("log/b/1", b""), ("log/a/1", b""), ("log/c", b"")])
    assert blobs.folders("log/") == ["a", "b"]
    assert blobs.folders("none/") == []


def test_modified_is_the_time_of_writing(blobs: Blobs) -> None:
    """In seconds since the epoch, within the clock's own grain."""
    before = time.time()
    blobs.put([("a/x/1", b"1")])
    ((key, at),) = blobs.modified("a/")
    assert key == "a/x/1"
    assert before - 2 < at < time.time() + 2


@pytest.mark.parametrize("key", ["../x", "a/../b", "/a", "a//b", "", ".tmp/x", "a\\..\\b", "a/"])
def test_keys_outside_the_store_are_refused(blobs: Blobs, key: str) -> None:
    """No key can leave the store or reach its temporary files."""
    for act in (
        lambda: blobs.get(key),
        lambda: blobs.put([(key, b"")]),
        lambda: blobs.create(key, b""),
        lambda: blobs.delete([key]),
        lambda: blobs.exists([key]),
    ):
        with pytest.raises(ValueError, match="not a key"):
            act()


def test_racing_creates_have_one_winner_and_no_half_object(blobs: Blobs) -> None:
    """Eight writers of 200 kB a key while readers look: one winner, each read whole."""
    bodies = [bytes([n]) * 200_000 for n in range(8)]
    start = threading.Barrier(9)

    def write(n: int) -> list[bool]:
        start.wait()
        return [_created(blobs, f"a/x/{key}", bodies[n]) for key in range(12)]

    def read() -> list[bytes]:
        start.wait()
        seen: list[bytes] = []
        for key in range(12):
            while (found := blobs.get_many([f"a/x/{key}"])[0]) is None:
                pass
            seen.append(found)
        return seen

    with ThreadPoolExecutor(9) as pool:
        seen = pool.submit(read)
        wins = list(pool.map(write, range(8)))
        assert [sum(won) for won in zip(*wins, strict=True)] == [1] * 12
        assert seen.result() == [
            bodies[[won[key] for won in wins].index(True)] for key in range(12)
        ]


def test_writers_survive_folders_pruned_under_them(blobs: Blobs) -> None:
    """A folder emptied and removed by one thread while another writes into it costs nothing."""

    def churn(n: int) -> bool:
        for turn in range(60):
            key = f"derived/t/one/{n}"
            blobs.put([(key, str(turn).encode())])
            if blobs.get(key) != str(turn).encode():
                return False
            blobs.delete([key])
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(churn, range(4))) == [True] * 4
    assert list(blobs.keys("derived/")) == []


def test_a_promise_beside_those_that_are_kept_is_written_down(blobs: Blobs) -> None:
    """Create-only, while the last other object of the folder is deleted: it lands all the same."""

    def promise(n: int) -> bool:
        for turn in range(40):
            key = f"pending/t/{n}-{turn}"
            blobs.create(key, b"")
            if not blobs.exists([key])[0]:
                return False
            blobs.delete([key])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(promise, range(8))) == [True] * 8


def test_an_honest_store_passes_the_probe(blobs: Blobs) -> None:
    """The probe leaves nothing behind."""
    probe(blobs)
    assert list(blobs.keys("")) == []


def test_a_store_with_several_winners_is_refused() -> None:
    """A gateway that looks before it writes, and writes all the same, fails the probe."""

    class Lying(ObjectStoreBlobs):
        def create(self, key: str, data: bytes) -> None:
            self.put([(key, data)])

    with pytest.raises(StoreUnavailableError, match="several writers create one key"):
        probe(_over_memory(Lying))


def test_a_store_that_forgets_its_refusal_is_refused() -> None:
    """One winner in the race, but a later create is let through: refused too."""
    asked = count(1)

    class Forgetful(ObjectStoreBlobs):
        def create(self, key: str, data: bytes) -> None:
            if next(asked) > 8:
                self.put([(key, data)])
            else:
                super().create(key, data)

    with pytest.raises(StoreUnavailableError, match="second create was not refused"):
        probe(_over_memory(Forgetful))


def test_a_lost_answer_is_not_taken_for_a_lie() -> None:
    """A winner that is answered "exists" (its first answer was lost) does not fail the probe."""

    class Losing(ObjectStoreBlobs):
        def create(self, key: str, data: bytes) -> None:
            super().create(key, data)
            raise ExistsError(key)

    store = _over_memory(Losing)
    probe(store)
    assert list(store.keys("")) == []


def test_temporaries_are_neither_listed_nor_kept(tmp_path: Path) -> None:
    """The files of a killed writer are invisible, and removed at a start an hour later."""
    store = DirectoryBlobs(tmp_path)
    old, young = tmp_path / ".tmp/old", tmp_path / ".tmp/young"
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert list(store.keys("")) == []
    assert store.folders("") == []
    DirectoryBlobs(tmp_path)
    assert [old.exists(), young.exists()] == [False, True]


def test_a_file_is_taken_over_without_a_copy(tmp_path: Path) -> None:
    """On one device the upload becomes the object, twice too; its first name may then go."""
    store = DirectoryBlobs(tmp_path / "store")
    file = tmp_path / "upload"
    file.write_bytes(b"picture")
    inode = file.stat().st_ino
    store.put([("blobs/t/1", file)])
    store.put([("blobs/t/1", file)])
    file.unlink()
    assert (store.root / "blobs/t/1").stat().st_ino == inode
    assert store.get("blobs/t/1") == b"picture"
    assert list((store.root / ".tmp").iterdir()) == []


def test_a_file_of_another_device_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk refuses a second name the contents are written again."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    store = DirectoryBlobs(tmp_path / "store")
    file = tmp_path / "upload"
    file.write_bytes(b"picture")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "hardlink_to", refuse)
        store.put([("blobs/t/1", file)])
    assert [store.get("blobs/t/1"), file.read_bytes()] == [b"picture"] * 2


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    """Writes that succeed, are refused or fail leave the spool empty."""
    store = DirectoryBlobs(tmp_path)
    store.put([("a/x/1", b"1")])
    assert store.create_many([("a/x/1", b"2"), ("a/x/3", b"3")]) == [False, True]
    with pytest.raises(StoreUnavailableError):
        store.put([("a/x/4", b"4"), ("a/x/5", tmp_path / "gone")])
    with pytest.raises(StoreUnavailableError, match="below another object"):
        store.put([("a/x/1/6", b"6")])
    assert list((tmp_path / ".tmp").iterdir()) == []
    assert list(store.keys("")) == ["a/x/1", "a/x/3"]


def test_empty_folders_go_but_a_tenants_stay(tmp_path: Path) -> None:
    """A picture's own folders are pruned; `part/tenant` is kept for the next one."""
    store = DirectoryBlobs(tmp_path)
    store.put([("vectors/t/id/space/op", b"1")])
    store.delete(["vectors/t/id/space/op"])
    assert [path.relative_to(tmp_path) for path in sorted((tmp_path / "vectors").rglob("*"))] == [
        Path("vectors/t")
    ]


def test_urls_name_stores(tmp_path: Path) -> None:
    """file:// with escapes and plain paths are the same directory; odd schemes are refused."""
    spaced = tmp_path / "a b"
    opened = open_blobs(f"file://{tmp_path}/a%20b", durable=False)
    assert isinstance(opened, DirectoryBlobs)
    assert opened.root == spaced
    opened.put([("x/y", b"1")])
    assert open_blobs(str(spaced), durable=True).get("x/y") == b"1"
    assert opened.free() is not None
    assert open_blobs("memory://", durable=True).free() is None
    with pytest.raises(ValueError, match="scheme ftp"):
        open_blobs("ftp://host/x", durable=True)


def test_a_store_that_is_down_is_unavailable() -> None:
    """A bucket at an address without a server raises StoreUnavailableError, soon."""
    os_free_port = "http://127.0.0.1:9"
    from obstore.store import S3Store  # noqa: PLC0415 - only this test names a vendor

    store = ObjectStoreBlobs(
        S3Store(
            "bucket",
            endpoint=os_free_port,
            access_key_id="x",
            secret_access_key="x",
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
    )
    with pytest.raises(StoreUnavailableError):
        store.get("a/x/1")
    with pytest.raises(StoreUnavailableError):
        store.create("a/x/1", b"")


def test_a_put_that_meets_another_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway answers 409 beside another request: it lands at the next try, or is down."""
    import obstore  # noqa: PLC0415 - only this test names a vendor
    from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 - likewise

    answers = iter([True, True])
    plain = obstore.put

    def busy(*given: object, **named: object) -> object:
        if next(answers, False):
            raise AlreadyExistsError("409 Conflict")
        return plain(*given, **named)  # type: ignore[call-overload] # passed on as they come

    store = open_blobs("memory://")
    monkeypatch.setattr(obstore, "put", busy)
    store.put([("a/x/1", b"1")])
    assert store.get("a/x/1") == b"1"
    answers = iter([True, True])
    store.create("a/x/2", b"2")
    assert store.get("a/x/2") == b"2"
    answers = iter([True])
    assert store.create_many([("a/x/2", b"3"), ("a/x/3", b"3")]) == [False, True]
    answers = iter([True] * 100)
    with pytest.raises(StoreUnavailableError, match="again and again"):
        store.put([("a/x/1", b"2")])
    with pytest.raises(StoreUnavailableError, match="again and again"):
        store.create("a/x/4", b"2")
    with pytest.raises(ExistsError):
        store.create("a/x/2", b"another's")


def _created(blobs: Blobs, key: str, data: bytes) -> bool:
    try:
        blobs.create(key, data)
    except ExistsError:
        return False
    return True


def _over_memory(kind: Callable[..., ObjectStoreBlobs]) -> ObjectStoreBlobs:
    from obstore.store import MemoryStore  # noqa: PLC0415 - likewise

    return kind(MemoryStore())
