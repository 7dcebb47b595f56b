"""A 202 is a promise: what is written, in which order, and what a repeat finishes."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from adapters.blobs.opening import open_blobs
from core import keys
from core.errors import (
    BacklogError,
    ConflictError,
    GoneError,
    KeyReusedError,
    MalformedError,
    MissingError,
    QueueUnavailableError,
    StoreUnavailableError,
    UnsupportedError,
)
from core.ingest.accept import Acceptor, Upload
from core.ingest.backpressure import BacklogLimit, lying
from core.ports import Blobs
from core.records import Fields, Job
from core.storage.picture_store import PictureStore
from core.types import Limits
from tests.samples.pictures import jpeg, photo


class Listed:
    """A queue that remembers, or is down."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.jobs: list[tuple[str, str]] = []

    def enqueue(self, jobs: Sequence[tuple[str, str]]) -> None:
        if self.down:
            raise QueueUnavailableError("no broker")
        self.jobs += jobs

    def depth(self, tenant: str | None = None) -> int:  # noqa: ARG002 - the port's
        return len(self.jobs)


def acceptor(blobs: Blobs, queue: Listed | None = None) -> Acceptor:
    """Return an acceptor whose ids count up from 1."""
    numbers = itertools.count(1)
    return Acceptor(
        blobs, PictureStore(blobs), queue or Listed(), Limits(), lambda: f"id-{next(numbers)}"
    )


def upload(tmp_path: Path, data: bytes, name: str = "a.jpg") -> Upload:
    """Return a file as the API hands it over."""
    path = tmp_path / f"{hashlib.sha256(data).hexdigest()[:8]}-{name}"
    path.write_bytes(data)
    return Upload(
        path=path,
        filename=name,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),
        bytes=len(data),
    )


PICTURE = jpeg(photo(1, 64, 48), 90)
OTHER = jpeg(photo(2, 64, 48), 90)
LARGE = jpeg(photo(3, 256, 192), 95)


def test_bytes_fields_and_job_are_stored_and_enqueued(tmp_path: Path) -> None:
    """Everything a worker needs is in the blob store when the call returns."""
    blobs, queue = open_blobs("memory://"), Listed()
    accepted = acceptor(blobs, queue).uploads(
        "t", [upload(tmp_path, PICTURE)], Fields(title="A sea", owner_id="me")
    )
    (job,) = accepted.items
    assert isinstance(job, Job)
    assert blobs.get(keys.blob("t", "id-1")) == PICTURE
    assert msgspec.json.decode(blobs.get(keys.pending("t", "id-1")), type=Job) == job
    assert PictureStore(blobs).fields("t", "id-1", "id-1") == Fields(
        title="A sea", owner_id="me", filename="a.jpg"
    )
    assert (job.sha256, job.format, job.bytes) == (
        hashlib.sha256(PICTURE).hexdigest(),
        "JPEG",
        len(PICTURE),
    )
    assert queue.jobs == [("t", "id-1")]


def test_a_bad_file_among_good_ones_is_refused_alone(tmp_path: Path) -> None:
    """Items come in the order of the files, an error in the bad one's place."""
    blobs = open_blobs("memory://")
    files = [
        upload(tmp_path, PICTURE),
        upload(tmp_path, b"not a picture", "b.txt"),
        upload(tmp_path, OTHER),
    ]
    kinds = [type(item) for item in acceptor(blobs).uploads("t", files, Fields()).items]
    assert kinds == [Job, UnsupportedError, Job]
    assert list(blobs.keys("pending/t/")) == ["pending/t/id-1", "pending/t/id-2"]


def test_a_broker_that_is_down_costs_nothing(tmp_path: Path) -> None:
    """The upload is accepted; its job is pending for the sweeper."""
    blobs = open_blobs("memory://")
    acceptor(blobs, Listed(down=True)).uploads("t", [upload(tmp_path, PICTURE)], Fields())
    assert list(blobs.keys("pending/t/")) == ["pending/t/id-1"]


def test_the_same_key_and_content_give_the_same_ids(tmp_path: Path) -> None:
    """A repeat is marked as one and writes no second record."""
    blobs = open_blobs("memory://")
    door = acceptor(blobs)
    first = door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    again = door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    assert (first.replayed, again.replayed) == (False, True)
    assert [j.image_id for j in first.items if isinstance(j, Job)] == [
        j.image_id for j in again.items if isinstance(j, Job)
    ]
    assert list(blobs.keys("pending/t/")) == ["pending/t/id-1"]


def test_a_repeat_finishes_what_a_crash_left_out(tmp_path: Path) -> None:
    """With only the key written, the repeat writes bytes, fields and job under the same id."""
    blobs = open_blobs("memory://")
    door = acceptor(blobs)
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    blobs.delete([keys.blob("t", "id-1"), keys.pending("t", "id-1")])
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    assert blobs.exists([keys.blob("t", "id-1"), keys.pending("t", "id-1")]) == [True, True]


@pytest.mark.parametrize("mark", [keys.done, keys.tombstone])
def test_a_repeat_writes_nothing_for_what_has_ended(tmp_path: Path, mark: object) -> None:
    """A done mark or a tombstone stands for the whole upload."""
    blobs = open_blobs("memory://")
    door = acceptor(blobs)
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    blobs.delete([keys.blob("t", "id-1"), keys.pending("t", "id-1")])
    blobs.create(mark("t", "id-1"), b"1")  # type: ignore[operator]
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    assert blobs.exists([keys.blob("t", "id-1"), keys.pending("t", "id-1")]) == [False, False]


def test_the_same_key_with_other_content_is_refused(tmp_path: Path) -> None:
    """Other files or other fields: 422."""
    door = acceptor(open_blobs("memory://"))
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    with pytest.raises(KeyReusedError):
        door.uploads("t", [upload(tmp_path, OTHER)], Fields(), key="k")
    with pytest.raises(KeyReusedError):
        door.uploads("t", [upload(tmp_path, PICTURE)], Fields(title="x"), key="k")


def test_a_repeat_under_other_limits_is_refused(tmp_path: Path) -> None:
    """A file accepted now was refused then, so the ids of then do not fit: 422."""
    blobs = open_blobs("memory://")
    files = [upload(tmp_path, PICTURE), upload(tmp_path, LARGE, "large.jpg")]
    small = Acceptor(
        blobs, PictureStore(blobs), Listed(), Limits(bytes=len(PICTURE)), iter("ab").__next__
    )
    told = small.uploads("t", files, Fields(), key="k").items
    assert [isinstance(one, Job) for one in told] == [True, False]
    with pytest.raises(KeyReusedError, match="limits"):
        acceptor(blobs).uploads("t", files, Fields(), key="k")


def test_a_key_is_free_again_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other content is then a new use of it; the old one is not overwritten."""
    blobs = open_blobs("memory://")
    door = acceptor(blobs)
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    monkeypatch.setattr("core.ingest.accept.KEY_SECONDS", 0.0)
    again = door.uploads("t", [upload(tmp_path, OTHER)], Fields(), key="k")
    assert not again.replayed
    assert len(list(blobs.keys("pending/t/"))) == 2


def test_twenty_at_once_with_one_key_make_one_record(tmp_path: Path) -> None:
    """One of the racing claims wins, and all answer its ids."""
    blobs = open_blobs(str(tmp_path / "blobs"), durable=False)
    numbers = itertools.count(1)
    door = Acceptor(
        blobs, PictureStore(blobs), Listed(), Limits(), lambda: f"id-{next(numbers):03d}"
    )

    def send(n: int) -> list[str]:
        file = upload(tmp_path, PICTURE, f"{n}.jpg")
        accepted = door.uploads("t", [file], Fields(), key="k")
        return [job.image_id for job in accepted.items if isinstance(job, Job)]

    with ThreadPoolExecutor(20) as pool:
        told = set(map(tuple, pool.map(send, range(20))))
    assert len(told) == 1
    assert len(list(blobs.keys("pending/t/"))) == 1


def test_external_id_takes_one_file(tmp_path: Path) -> None:
    """Two files cannot both be the caller's one thing."""
    files = [upload(tmp_path, PICTURE), upload(tmp_path, OTHER)]
    with pytest.raises(MalformedError) as caught:
        acceptor(open_blobs("memory://")).uploads("t", files, Fields(external_id="x"))
    assert caught.value.field == "external_id"


def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and no object."""
    blobs = open_blobs(str(tmp_path / "blobs"), durable=False)
    monkeypatch.setattr("core.ingest.accept.FREE_BYTES", 1 << 62)
    with pytest.raises(StoreUnavailableError):
        acceptor(blobs).uploads("t", [upload(tmp_path, PICTURE)], Fields())
    assert blobs.folders("") == []


@pytest.mark.parametrize("keep", [True, False])
def test_a_failed_upload_is_tried_again_under_the_next_number(
    tmp_path: Path, *, keep: bool
) -> None:
    """`<image_id>.1`, then `.2`; not while one is pending, not when deleted or unknown.

    The upload decided whether a copy's bytes are to be kept.
    """
    blobs = open_blobs("memory://")
    door = acceptor(blobs)
    door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), keep_bytes=keep)
    with pytest.raises(ConflictError):
        door.retry("t", "id-1")
    for n in (1, 2):
        waiting = "id-1" if n == 1 else f"id-1.{n - 1}"
        blobs.create(keys.done("t", waiting), b"1")
        blobs.delete([keys.pending("t", waiting)])
        job = door.retry("t", "id-1")
        assert (job.job_id, job.sha256) == (f"id-1.{n}", hashlib.sha256(PICTURE).hexdigest())
        assert job.keep_bytes is keep
    with pytest.raises(MissingError):
        door.retry("t", "id-9")
    blobs.create(keys.tombstone("t", "id-1"), b"")
    with pytest.raises(GoneError):
        door.retry("t", "id-1")


# --- how much waits -----------------------------------------------------------------------------


class Depth:
    """A broker that returns its depth, or is down, and counts the calls."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.down = False
        self.own: dict[str, int] = {}
        self.asked = 0
        self.now = 0.0

    def __call__(self, tenant: str | None) -> int:
        if tenant is not None:
            return self.own.get(tenant, 0)
        self.asked += 1
        if self.down:
            raise QueueUnavailableError("no broker")
        return self.depth


def crowded(blobs: Blobs, depth: Depth) -> Acceptor:
    """Return an acceptor that takes uploads while fewer than ten wait."""
    numbers = itertools.count(1)
    backlog = BacklogLimit(depth, 10, clock=lambda: depth.now)
    return Acceptor(
        blobs,
        PictureStore(blobs),
        Listed(),
        Limits(),
        lambda: f"id-{next(numbers)}",
        backlog=backlog,
    )


def test_a_full_backlog_refuses_uploads_and_nothing_else(tmp_path: Path) -> None:
    """At the mark as well as over it; nothing is written, and deletes and edits still go."""
    blobs, depth = open_blobs("memory://"), Depth(10)
    door = crowded(blobs, depth)
    for n in (10, 11):
        depth.depth, depth.now = n, depth.now + 1
        with pytest.raises(BacklogError):
            door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    assert list(blobs.keys("pending/t/")) + list(blobs.keys("keys/t/")) == []
    door.operate("t", "delete", "i")
    depth.depth, depth.now = 9, depth.now + 1
    door.uploads("t", [upload(tmp_path, PICTURE), upload(tmp_path, OTHER)], Fields(), key="k")
    assert len(list(blobs.keys("pending/t/"))) == 3, "what was let in goes in whole"


def test_what_was_accepted_is_told_its_ids_however_much_waits(tmp_path: Path) -> None:
    """A repeat under its key is no new upload; another key is."""
    depth = Depth(9)
    door = crowded(open_blobs("memory://"), depth)
    first = door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    depth.depth, depth.now = 10, 1.0
    again = door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k")
    assert (again.replayed, [j.image_id for j in again.items if isinstance(j, Job)]) == (
        True,
        [j.image_id for j in first.items if isinstance(j, Job)],
    )
    with pytest.raises(BacklogError):
        door.uploads("t", [upload(tmp_path, PICTURE)], Fields(), key="k2")


def test_a_tenant_has_its_share_of_the_backlog_and_hears_of_no_other() -> None:
    """One with too many jobs is refused; the others are not, until there are too many in all."""
    depth = Depth(9)
    depth.own = {"much": 5, "few": 4}
    backlog = BacklogLimit(depth, 10, each=5, clock=lambda: depth.now)
    with pytest.raises(BacklogError, match="of your jobs") as refused:
        backlog.check("much")
    assert "9" not in refused.value.detail
    backlog.check("few")
    backlog.check("none")
    depth.depth, depth.now = 10, 1.0
    with pytest.raises(BacklogError, match="Too many jobs") as refused:
        backlog.check("none")
    assert "much" not in refused.value.detail


def test_the_depth_is_asked_once_a_second() -> None:
    """The number of uploads does not matter."""
    depth = Depth(3)
    door = crowded(open_blobs("memory://"), depth)
    for moment in (0.0, 0.5, 0.99, 1.0, 1.5, 2.1):
        depth.now = moment
        door.admit("t")
    assert depth.asked == 3


def test_a_broker_that_is_away_refuses_nothing_and_is_not_asked_again_at_once() -> None:
    """The same holds if the backlog was full before."""
    depth = Depth(10)
    door = crowded(open_blobs("memory://"), depth)
    with pytest.raises(BacklogError):
        door.admit("t")
    depth.down, depth.now = True, 1.0
    for _ in range(5):
        door.admit("t")
    assert depth.asked == 2


def test_nobody_waits_for_the_one_that_asks() -> None:
    """While one upload waits for a slow broker, the others use the last known depth."""
    asked, answer = threading.Event(), threading.Event()

    def slow(_: str | None) -> int:
        asked.set()
        answer.wait(10)
        return 10

    backlog = BacklogLimit(slow, 10)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(backlog.check, "t")
        assert asked.wait(10)
        backlog.check("t")
        answer.set()
        assert isinstance(first.exception(), BacklogError)


def test_what_lies_pending_is_counted_so_far_as_it_matters() -> None:
    """Jobs of all tenants count, up to the limit."""
    blobs = open_blobs("memory://")
    blobs.put([(keys.pending(tenant, f"j{n}"), b"") for tenant in ("a", "b") for n in range(3)])
    assert [lying(blobs, most) for most in (2, 4, 9)] == [2, 4, 6]
    assert [lying(blobs, most, "b") for most in (2, 4)] == [2, 3]
