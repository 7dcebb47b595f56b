"""The watch over the logs: which faults stop a tenant, how soon, and when it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.blobs.opening import open_blobs
from adapters.event_log import BlobLog
from adapters.sqlite_index import SQLiteIndex
from core import keys
from core.errors import LogCorruptError
from core.event_log import log_watch
from core.event_log.log_watch import LogWatch
from core.event_log.tail import LogFollower
from core.matching.policy import POLICY
from core.ports import Blobs
from core.records import Entry

ENTRIES = 12


class Case:
    """Logs of some tenants in memory, each projected onto one index."""

    def __init__(self, path: Path) -> None:
        self.blobs: Blobs = open_blobs("memory://")
        self.log = BlobLog(self.blobs)
        self.index = SQLiteIndex(path, POLICY, durable=False)
        self.follower = LogFollower(self.log, self.index)
        self.watch = LogWatch(self.log, self.index, self.follower)
        for tenant in ("a", "b"):
            for seq in range(1, ENTRIES + 1):
                self.append(tenant, seq)

    def append(self, tenant: str, seq: int) -> None:
        """Append an entry and project it."""
        entry = Entry(
            seq=seq,
            nonce=f"n{seq}",
            previous=f"n{seq - 1}" if seq > 1 else "",
            at="2026-01-01T00:00:00.000Z",
            pipeline_version="1",
            policy_version="1",
            operations=(),
        )
        self.log.append(tenant, entry)
        self.index.project_entry(tenant, seq, [], [], [])

    def take(self, *numbers: int) -> Callable[[], None]:
        """Take entries of tenant a away; return what brings them back."""
        found = {keys.entry("a", seq): self.blobs.get(keys.entry("a", seq)) for seq in numbers}
        self.blobs.delete(found)
        return lambda: self.blobs.put(list(found.items()))

    def sweeps(self, most: int = 20) -> int:
        """Return how many sweeps it takes until a tenant is stopped."""
        for n in range(1, most + 1):
            self.watch.sweep()
            if self.follower.faults:
                return n
        raise AssertionError(f"nothing was noticed in {most} sweeps")


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Yield two tenants with a dozen entries each."""
    made = Case(tmp_path / "index.db")
    yield made
    made.index.close()


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (range(10, 13), "entry 12 of a is gone, and the index has it"),
        (range(1, 13), "entry 12 of a is gone, and the index has it"),
        ([7], "the log of a has a gap at entry 7"),
        ([1], "the log of a has a gap at entry 1"),
    ],
)
def test_what_is_gone_stops_its_tenant_until_it_is_back(
    case: Case, caplog: pytest.LogCaptureFixture, numbers: range, reason: str
) -> None:
    """Tails, so all reads and settling, of that tenant alone; one log line for it."""
    restore = case.take(*numbers)
    assert case.sweeps() == 1
    case.watch.sweep()
    assert case.follower.faults == {"a": reason}
    with pytest.raises(LogCorruptError, match=reason):
        case.follower.tail("a")
    assert case.follower.tail("b").head == ENTRIES
    restore()
    case.watch.sweep()
    assert case.follower.faults == {}
    assert case.follower.tail("a").head == ENTRIES
    assert [record.message for record in caplog.records] == ["tenant_stopped", "tenant_resumed"]


def test_damaged_and_exchanged_entries_are_noticed(case: Case) -> None:
    """Bytes that are no entry, and a good entry that another log has at that place."""
    key = keys.entry("a", 4)
    whole = case.blobs.get(key)
    for wrong, reason in (
        (b"", "entry 4 of a cannot be read"),
        (whole[:-9], "entry 4 of a cannot be read"),
        (whole.replace(b"n4", b"x4"), "entry 5 does not follow entry 4"),
    ):
        case.blobs.put([(key, wrong)])
        assert case.sweeps() <= 2
        assert reason in case.follower.faults["a"]
        case.blobs.put([(key, whole)])
        case.watch.sweep()
        assert case.follower.faults == {}


def test_a_long_log_is_read_again_part_by_part(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest entries at the next look, the oldest after as many looks as it has parts."""
    monkeypatch.setattr(log_watch, "ENTRIES", 5)
    case.watch.sweep()
    restore = case.take(1)
    assert 2 < case.sweeps() <= 2 * ENTRIES
    restore()
    case.watch.sweep()
    assert case.follower.faults == {}
    case.take(11, 12)
    case.append("a", 13)  # by a worker that had its end in memory
    assert case.sweeps() == 1
    assert case.follower.faults == {"a": "the log of a has a gap at entry 12"}


@pytest.mark.parametrize("gap", [range(3, 4), range(3, 6), range(2, 12), range(1, 12)])
def test_an_index_made_again_does_not_end_before_a_gap(case: Case, gap: range) -> None:
    """Its watermark lies below the gap: no reader takes the entry before it for the last."""
    restore = case.take(*gap)
    lowest = gap.start - 1
    case.index.close()
    case.index = SQLiteIndex(case.index._database.path.with_name("fresh.db"), POLICY)
    for seq in range(1, lowest + 1):
        case.index.project_entry("a", seq, [], [], [])
    follower = LogFollower(case.log, case.index)
    watch = LogWatch(case.log, case.index, follower)
    reason = f"the log of a has a gap at entry {gap.start}"
    watch.sweep()
    assert follower.faults == {"a": reason}
    with pytest.raises(LogCorruptError, match=reason):
        follower.tail("a")
    restore()
    watch.sweep()
    assert follower.faults == {}
    assert follower.tail("a").head == ENTRIES


def test_a_fault_that_only_a_reader_meets_ends_with_it(case: Case) -> None:
    """An entry after the watermark: the watch lets the tenant go on once it can be read."""
    case.blobs.put([(keys.entry("a", 13), b"{")])
    with pytest.raises(LogCorruptError, match="entry 13"):
        case.follower.tail("a")
    case.watch.sweep()
    assert list(case.follower.faults) == ["a"]
    case.blobs.delete([keys.entry("a", 13)])
    case.watch.sweep()
    assert case.follower.faults == {}
