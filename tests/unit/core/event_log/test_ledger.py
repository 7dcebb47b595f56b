"""The ledger on a directory and SQLite."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from adapters.blobs.directory import DirectoryBlobs
from adapters.event_log import BlobLog
from adapters.sqlite_index import SQLiteIndex
from core import clock, keys
from core.errors import IndexUnavailableError, StoreUnavailableError
from core.event_log.batch_candidates import BatchCandidates
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.event_log.replay import replay
from core.event_log.settle_hint import LocalSettleHint, SettleHint
from core.event_log.tail import LogFollower
from core.evidence import Comparison, Evidence
from core.index_port import Filters
from core.matching.candidates import fuse
from core.matching.decisions import Decisions
from core.matching.policy import POLICY
from core.metrics import UNMETERED, Event, Meter, Unmetered
from core.records import Fields, Job, Operation, State
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore, StoredFingerprint
from core.types import Hit, Query, Verdict
from tests.simulation import world
from tests.simulation.world import RULES, TENANT, operation, upload


class Guess(PictureLoader):
    """Pictures whose names begin alike confirm each other; nothing is decoded.

    `*` is a collage of the pictures whose letters follow.
    """

    def align(self, tenant: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Confirm by the first letter of their pixels."""
        return [self._align(tenant, query, hit) for hit in hits]

    def _align(self, tenant: str, query: Query, hit: Hit) -> Comparison:
        other = self.query(tenant, hit.image_id).fingerprint
        mine, letter = query.fingerprint.pixels_sha256[7:], other.pixels_sha256[7]
        alike = letter in (mine if mine[0] == "*" else mine[0])
        return Comparison(
            "copy" if alike else "unrelated", Evidence(signals=("alignment",), hamming=hit.hamming)
        )


@dataclass
class Desk:
    """One process on a real directory and a real index."""

    blobs: DirectoryBlobs
    index: SQLiteIndex
    shelf: PictureStore
    ledger: Ledger
    projector: Projector

    def settle(self, *jobs: Job) -> list[Operation | None]:
        """Accept, fingerprint and settle jobs."""
        claims = [self.claim(job) for job in jobs]
        return self.ledger.settle(TENANT, claims)

    def claim(self, job: Job) -> Claim:
        """Do the work of the stages before settling, and return the claim."""
        self.blobs.create_many([(keys.pending(TENANT, job.job_id), msgspec.json.encode(job))])
        found = world.claim(job)
        if found.query is None:
            return found
        made = replace(found.query.fingerprint, turns=(f"{ord(job.sha256[0]):016x}",) * 8)
        self.blobs.put([(keys.blob(TENANT, job.image_id), b"bytes")])
        self.shelf.write(
            TENANT, [StoredFingerprint(image_id=job.image_id, fingerprint=made, preview=b"preview")]
        )
        return replace(found, query=replace(found.query, fingerprint=made))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield a desk of its own."""
    blobs = DirectoryBlobs(tmp_path / "blobs", durable=False)
    index = SQLiteIndex(tmp_path / "index.db", POLICY, durable=False)
    yield opened(blobs, index)
    index.close()


class Conflicts(Unmetered):
    """Count of appends that another process preceded."""

    def __init__(self) -> None:
        self.met = 0

    def count(self, event: Event, n: int = 1, **_: str) -> None:
        self.met += n * (event == "conflicts")


def opened(
    blobs: DirectoryBlobs,
    index: SQLiteIndex,
    now: Callable[[], str] = clock.now,
    *,
    hint: SettleHint | None = None,
    meter: Meter = UNMETERED,
) -> Desk:
    """Open another process at the same place."""
    shelf = PictureStore(blobs)
    log = BlobLog(blobs)
    follower = LogFollower(log, index)
    projector = Projector(log=log, blobs=blobs, index=index, shelf=shelf, follower=follower)
    ledger = Ledger(
        log=log,
        blobs=blobs,
        index=index,
        sight=Guess(shelf, POLICY, lambda _: None),
        rules=replace(RULES, copies=32),
        pool=lambda: BatchCandidates(world.measure, POLICY),
        fuse=lambda hits: fuse(hits, POLICY),
        follower=follower,
        projector=projector,
        now=now,
        hint=hint,
        meter=meter,
    )
    return Desk(blobs, index, shelf, ledger, projector)


def kinds(done: list[Operation | None]) -> list[str | None]:
    """Return the kinds of operations, in order."""
    return [one and one.kind for one in done]


def test_a_batch_goes_all_the_way(desk: Desk) -> None:
    """Settled in order, marked, projected, nothing pending."""
    done = desk.settle(
        upload("i1", "a1"),
        upload("i2", "a1"),
        upload("i3", "!"),
        upload("i4", "a2"),
        operation("o1", "decide", "i1", value="block"),
    )
    assert kinds(done) == ["settled", "settled", "failed", "settled", "decided"]
    states = desk.index.read_states(TENANT, ["i1", "i2", "i3", "i4"])
    assert [
        one and (one.verdict.kind, one.verdict.original, one.decision.value) for one in states
    ] == [
        ("new", None, "block"),
        ("exact", "i1", "block"),
        None,
        ("near_duplicate", "i1", "block"),
    ]
    assert list(desk.blobs.keys("pending/t/")) == []
    assert sorted(desk.blobs.keys("done/t/")) == [
        keys.done(TENANT, job) for job in ("i1", "i2", "i3", "i4", "o1")
    ]
    assert desk.index.watermark(TENANT) == 1
    outcome = desk.index.read_outcomes(TENANT, ["i3"])[0]
    assert outcome is not None
    assert outcome.problem == world.BROKEN


def test_a_clock_set_back_hides_nothing_that_is_new(desk: Desk) -> None:
    """Lists show it first, and a caller that asks for what came after the last one gets it."""
    hours = iter(("12:00", "12:30", "11:00", "11:00", "11:59", "12:31"))
    hour = ""

    def settle(name: str) -> None:
        """Accept and settle one more upload as the clock moves on, or back."""
        nonlocal hour
        hour = f"2026-03-01T{next(hours)}:00.000Z"
        last = list(desk.index.list_records(TENANT, Filters(), 1).records)
        other = opened(desk.blobs, desk.index, lambda: hour)  # it has read no earlier entry
        other.settle(replace(upload(name, f"{name[1]}1"), accepted_at=hour))
        (newest,) = desk.index.list_records(TENANT, Filters(), 1).records
        assert newest.state.image_id == name
        for before in last:
            after = Filters(accepted_after=before.state.accepted_at)
            (found,) = desk.index.list_records(TENANT, after, 9).records
            assert found.state.image_id == name
        (outcome,) = desk.index.list_outcomes(TENANT, None, 1)[0]
        assert (outcome.job_id, outcome.accepted_at) == (name, newest.state.accepted_at)

    for n in range(6):
        settle(f"i{n}")
    entries = [BlobLog(desk.blobs).read(TENANT, seq) for seq in range(1, 7)]
    times = [entry.at[11:] for entry in entries if entry is not None]
    assert times == sorted(set(times))
    assert times[1:5] == ["12:30:00.000Z", "12:30:00.001Z", "12:30:00.002Z", "12:30:00.003Z"]
    assert times[5] == "12:31:00.000Z"


def test_what_was_settled_is_answered_again(desk: Desk) -> None:
    """A job given again, here or elsewhere, gets the operation that ended it."""
    first = desk.settle(upload("i1", "a1"), operation("o1", "delete", "i1"))
    again = opened(desk.blobs, desk.index).settle(upload("i1", "a1"))
    assert again == first[:1]
    assert list(desk.blobs.keys("pending/t/")) == []
    assert len(list(desk.blobs.keys("log/t/"))) == 1


def test_a_job_twice_in_a_batch_is_one(desk: Desk) -> None:
    """Both get the one answer."""
    one, two = desk.settle(upload("i1", "a1"), upload("i1", "a1"))
    assert one is two
    assert one is not None


def test_an_entry_holds_at_most_64_jobs(desk: Desk) -> None:
    """A larger batch becomes several entries, in order."""
    done = desk.settle(*(upload(f"i{n:03d}", f"a{n}") for n in range(130)))
    entries = [BlobLog(desk.blobs).read(TENANT, seq) for seq in (1, 2, 3)]
    assert [len(entry.operations) for entry in entries if entry] == [64, 64, 2]
    originals = {one.states[0].verdict.original for one in done if one}
    assert originals == {None, "i000"}


def test_a_deleted_picture_leaves_a_tombstone_alone(desk: Desk) -> None:
    """Bytes, fingerprint, preview and fields are gone; its mark and its tombstone stay."""
    desk.settle(upload("i1", "a1"), upload("i2", "a1"))
    desk.shelf.write_fields(TENANT, [("i1", "i1", Fields(owner_id="someone"))])
    desk.settle(operation("o1", "delete", "i1"))
    left = [key for key in desk.blobs.keys("") if "/t/i1" in key and not key.startswith("log/")]
    assert sorted(left) == ["done/t/i1", "tombstones/t/i1"]
    stones = desk.index.read_tombstones(TENANT, ["i1"])
    assert [stone and stone.seq for stone in stones] == [2]
    (state,) = desk.index.read_states(TENANT, ["i2"])
    assert state is not None
    assert (state.verdict.kind, state.verdict.revision) == ("new", 2)


def test_purged_and_discarded_bytes_are_removed(desk: Desk) -> None:
    """The fingerprint of a purged picture is kept, and still matches."""
    desk.settle(upload("i1", "a1"), upload("i2", "a1", keep=False))
    assert desk.blobs.exists([keys.blob(TENANT, one) for one in ("i1", "i2")]) == [True, False]
    desk.settle(operation("o1", "purge", "i1"))
    assert desk.blobs.exists([keys.blob(TENANT, "i1"), keys.kept(TENANT, "i1")]) == [False, True]
    (copy,) = desk.settle(upload("i3", "a1"))
    assert copy is not None
    assert copy.states[0].verdict.original == "i1"


def test_a_check_tells_what_an_upload_would_be_told(desk: Desk) -> None:
    """The same verdict and decision, and nothing is left behind."""
    desk.settle(upload("i1", "a1"), operation("o1", "decide", "i1", value="block"))
    before = sorted(desk.blobs.keys(""))
    query = desk.claim(upload("i2", "a2")).query
    assert query is not None
    verdict, decision = desk.ledger.check(TENANT, query)
    desk.shelf.remove(TENANT, ["i2"])
    desk.blobs.delete([keys.pending(TENANT, "i2")])
    assert sorted(desk.blobs.keys("")) == before
    (done,) = desk.settle(upload("i2", "a2"))
    assert done is not None
    told = done.states[0]
    assert (replace(verdict, decided_at=""), decision.value) == (
        replace(told.verdict, decided_at=""),
        told.decision.value,
    )


def test_two_processes_share_a_log(desk: Desk) -> None:
    """Each sees what the other settled, though it read the log before."""
    other = opened(desk.blobs, desk.index)
    desk.settle(upload("i1", "a1"))
    other.settle(upload("i2", "a1"))
    (third,) = desk.settle(upload("i3", "a1"))
    assert third is not None
    assert third.states[0].verdict.original == "i1"
    assert desk.index.watermark(TENANT) == 3


def test_a_new_index_is_filled_to_the_same_answers(desk: Desk, tmp_path: Path) -> None:
    """Records, outcomes and tombstones by applying the log alone."""
    desk.settle(*(upload(f"i{n}", f"{'ab'[n % 2]}{n % 3}") for n in range(9)))
    desk.settle(operation("o1", "delete", "i0"), operation("o2", "purge", "i3"))
    fresh = SQLiteIndex(tmp_path / "fresh.db", POLICY, durable=False)
    applied = list(replay(BlobLog(desk.blobs), PictureStore(desk.blobs), fresh, TENANT, 2))
    ids, jobs = [f"i{n}" for n in range(9)], ["o1", "o2", *(f"i{n}" for n in range(9))]
    assert len(applied) == desk.index.watermark(TENANT) == fresh.watermark(TENANT)
    assert fresh.read_records(TENANT, ids) == desk.index.read_records(TENANT, ids)
    assert fresh.read_outcomes(TENANT, jobs) == desk.index.read_outcomes(TENANT, jobs)
    assert fresh.read_tombstones(TENANT, ids) == desk.index.read_tombstones(TENANT, ids)
    fresh.close()


def test_banned_photos_are_found_in_collages_by_a_real_index(desk: Desk, tmp_path: Path) -> None:
    """Uploaded before or after the ban, beside an older allowed one; also by a rebuilt index."""
    banned = {f"ban{letter}": letter for letter in "bcdefghijklmnopqrstu"}
    desk.settle(upload("old", "a1"), *(upload(one, f"{two}1") for one, two in banned.items()))
    desk.settle(*(upload(f"before{two}", f"*1a{two}") for two in banned.values()))
    desk.settle(*(operation(f"d{one}", "decide", one, value="block") for one in banned))
    desk.settle(*(upload(f"after{two}", f"*2a{two}") for two in banned.values()))

    def collages(index: SQLiteIndex) -> list[tuple[str, str]]:
        found = index.find_states(TENANT, confirmed=list(banned))
        return [(state.original, state.decision.value) for state in found]

    assert collages(desk.index) == [("old", "block")] * 40
    fresh = SQLiteIndex(tmp_path / "fresh.db", POLICY, durable=False)
    list(replay(BlobLog(desk.blobs), PictureStore(desk.blobs), fresh, TENANT, 4))
    assert collages(fresh) == collages(desk.index)
    fresh.close()
    desk.settle(*(operation(f"e{one}", "decide", one, value="allow") for one in banned))
    assert collages(desk.index) == [("old", "allow")] * 40
    desk.settle(*(operation(f"o{one}", "delete", one) for one in banned))
    assert collages(desk.index) == []
    assert len(desk.index.find_states(TENANT, confirmed=["old"])) == 40


def test_an_index_that_is_emptied_meanwhile_decides_nothing(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was lost between reading the watermark and the look-ups: no second `new` is decided."""
    desk.settle(upload("i1", "a1"))
    empty = SQLiteIndex(tmp_path / "empty.db", POLICY, durable=False)
    look_up = desk.index.find_states

    def emptied(tenant: str, **named: Sequence[str]) -> list[State]:
        for name in (
            "watermark",
            "find_states",
            "find_candidates",
            "read_states",
            "read_tombstones",
        ):
            monkeypatch.setattr(desk.index, name, getattr(empty, name))
        return list(empty.find_states(tenant, **named))

    monkeypatch.setattr(desk.index, "find_states", emptied)
    with pytest.raises(IndexUnavailableError):
        desk.settle(upload("i2", "a1"))
    empty.close()
    monkeypatch.undo()
    assert desk.index.find_states == look_up
    (second,) = desk.settle(upload("i2", "a1"))
    assert second is not None
    assert second.states[0].verdict.original == "i1"


def test_a_new_index_hides_no_job_without_a_mark(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made between an append and its projection, it leaves that entry to the next advance."""

    def died(*_: object) -> None:
        raise StoreUnavailableError("died")

    desk.settle(upload("i1", "a1"))
    with monkeypatch.context() as patch:
        patch.setattr(Projector, "_project", died)
        done = desk.settle(upload("i2", "a1"))
    assert (desk.projector.marked(TENANT), BlobLog(desk.blobs).head(TENANT)) == (1, 2)
    fresh = SQLiteIndex(tmp_path / "fresh.db", POLICY, durable=False)
    assert list(replay(BlobLog(desk.blobs), desk.shelf, fresh, TENANT, 1)) == [1]
    other = opened(desk.blobs, fresh)
    assert other.settle(upload("i2", "a1")) == done
    assert (fresh.watermark(TENANT), other.projector.marked(TENANT)) == (2, 2)
    assert BlobLog(desk.blobs).head(TENANT) == 2
    fresh.close()


def test_settled_counts_although_the_index_is_down(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log's outcome is returned; the sweeper finds the job pending, then it is projected."""

    def down(*_: object, **__: object) -> None:
        raise IndexUnavailableError("down")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(SQLiteIndex, "project_entry", down)
        done = desk.settle(upload("i1", "a1"))
    assert (kinds(done), desk.index.watermark(TENANT)) == (["settled"], 0)
    assert "projection_deferred" in caplog.messages
    assert list(desk.blobs.keys("pending/t/")) == [keys.pending(TENANT, "i1")]
    assert desk.settle(upload("i1", "a1")) == done
    assert (desk.index.watermark(TENANT), list(desk.blobs.keys("pending/t/"))) == (1, [])


def test_the_watermark_stands_still_while_an_index_is_swapped_in(desk: Desk) -> None:
    """Meanwhile jobs are settled as ever; they are projected once the new index is there."""
    settled = threading.Event()

    def settling() -> None:
        claims = [desk.claim(upload("i1", "a1"))]
        desk.ledger.settle(TENANT, claims)
        settled.set()

    thread = threading.Thread(target=settling)
    with desk.projector.still():
        thread.start()
        deadline = time.monotonic() + 20
        while BlobLog(desk.blobs).head(TENANT) == 0:
            assert time.monotonic() < deadline
        assert (settled.is_set(), desk.index.watermark(TENANT)) == (False, 0)
    thread.join()
    assert (settled.is_set(), desk.index.watermark(TENANT)) == (True, 1)


def test_nothing_personal_is_in_the_log(desk: Desk) -> None:
    """Owner, title and reason stay in the fields objects."""
    desk.shelf.write_fields(TENANT, [("i1", "f1", Fields(owner_id="someone", title="a holiday"))])
    desk.settle(replace(upload("i1", "a1"), fields="f1"))
    desk.settle(replace(upload("i2", "a1"), fields="f1"))
    written = b"".join(desk.blobs.get(key) for key in desk.blobs.keys("log/t/"))
    assert (b"someone" in written, b"holiday" in written, b'"f1"' in written) == (
        False,
        False,
        True,
    )


def test_decisions_follow_the_settings(desk: Desk) -> None:
    """A new picture may wait for a person."""
    desk.ledger._rules = replace(desk.ledger._rules, decisions=Decisions(new="review"))
    (done,) = desk.settle(upload("i1", "a1"))
    assert done is not None
    verdict: Verdict = done.states[0].verdict
    assert (verdict.kind, done.states[0].decision.value) == ("new", "review")


def test_a_hint_keeps_processes_from_appending_at_the_same_time(desk: Desk) -> None:
    """Four at once, each with batches of its own: every job ends once, with hardly a conflict."""
    hint, meter = LocalSettleHint(), Conflicts()
    desks = [opened(desk.blobs, desk.index, hint=hint, meter=meter) for _ in range(4)]

    def work(n: int) -> list[str | None]:
        return [
            kind
            for turn in range(15)
            for kind in kinds(desks[n].settle(upload(f"i{n}-{turn}", f"{'abcd'[n]}{turn % 9}")))
        ]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [["settled"] * 15] * 4
    assert desk.projector.advance(TENANT) == BlobLog(desk.blobs).head(TENANT) == 60
    assert meter.met <= 3  # 0.05 an entry; without the hint about one
