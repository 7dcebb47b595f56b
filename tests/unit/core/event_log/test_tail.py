"""Following a log: what its tail left, and stopping where it cannot be followed."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from core.errors import CorruptError
from core.event_log.tail import BehindError, LogFollower
from core.records import FORMAT, Entry, State
from tests.simulation.case import VARIANT
from tests.simulation.memory_index import MemoryIndex
from tests.simulation.play import Play, Worker
from tests.simulation.schedule import Choices, Scenario
from tests.simulation.stored import Log, Store
from tests.simulation.world import LATER, TENANT, Relation, operation, upload


def settled(
    jobs: int = 4, pictures: str = "a", relation: Relation | None = None
) -> tuple[Store, Worker]:
    """Return a store with as many uploads of these pictures, each in an entry of its own."""
    uploads = tuple(upload(f"i{n}", f"{pictures[n % len(pictures)]}1") for n in range(jobs))
    play = Play(Scenario(uploads, (), relation or Relation()), Choices(0))
    play._shielded = True
    worker = Worker(play)
    for job in uploads:
        worker.run([job.job_id])
    return play.store, worker


def follower(store: Store, *, longest: int = 100, tenants: int = 100) -> LogFollower:
    """Return a reader of its own."""
    return LogFollower(Log(store), MemoryIndex(store), longest=longest, tenants=tenants)


def behind(store: Store, watermark: int) -> None:
    """Let the index be as if it had been projected only so far."""
    store.replicas[0].watermark = watermark


def test_a_tail_is_what_lies_after_the_watermark() -> None:
    """States, outcomes, head and lag of later entries; none once the index has them."""
    store, _ = settled()
    behind(store, 2)
    tail = follower(store).tail(TENANT)
    assert (tail.watermark, tail.head, tail.lag) == (2, 4, 2)
    assert (set(tail.layer.states), set(tail.layer.outcomes)) == ({"i2", "i3"}, {"i2", "i3"})
    assert tail.nonce == store.log[4].nonce
    behind(store, 4)
    assert follower(store).tail(TENANT).lag == 0


def test_a_follower_goes_on_from_where_it_was() -> None:
    """It drops what the index has come to hold, and reads only what is new."""
    store, worker = settled()
    behind(store, 1)
    reader = follower(store)
    assert set(reader.tail(TENANT).layer.states) == {"i1", "i2", "i3"}
    behind(store, 3)
    store.accept(operation("o", "delete", "i3"))
    worker.run(["o"])
    behind(store, 3)
    read: list[int] = []
    log = Log(store)
    reader._log = log
    log.read = lambda tenant, seq: read.append(seq) or Log(store).read(tenant, seq)  # type: ignore[method-assign,func-returns-value]
    tail = reader.tail(TENANT)
    assert (read, set(tail.layer.removed), tail.lag) == ([5, 6], {"i3"}, 2)


def test_a_watermark_that_went_back_is_followed() -> None:
    """The index was thrown away: the tail starts over."""
    store, _ = settled()
    reader = follower(store)
    assert reader.tail(TENANT).lag == 0
    behind(store, 0)
    assert set(reader.tail(TENANT).layer.states) == {"i0", "i1", "i2", "i3"}


def spoil(store: Store, at: int, **changes: object) -> None:
    """Change an entry that must never change."""
    store.log[at] = replace(store.log[at], **changes)


@pytest.mark.parametrize(
    "change", [{"previous": "another"}, {"seq": 9}, {"format": FORMAT + 1}, {"nonce": "another"}]
)
def test_a_log_that_does_not_hang_together_is_not_followed(change: dict[str, object]) -> None:
    """A broken chain, a wrong number, a newer format: stop, loudly."""
    store, _ = settled()
    behind(store, 1)
    spoil(store, 3, **change)
    with pytest.raises(CorruptError):
        follower(store).tail(TENANT)


def test_a_gap_is_not_taken_for_the_end() -> None:
    """An entry is missing while a later one is there."""
    store, worker = settled()
    behind(store, 1)
    del store.log[3]
    with pytest.raises(CorruptError, match="gap at entry 3"):
        follower(store).tail(TENANT)
    store.accept(upload("i9", "b1"))
    with pytest.raises(CorruptError):
        Worker(worker._play).run(["i9"])
    assert "i9" in store.pending()


def test_an_index_ahead_of_the_log_is_not_followed() -> None:
    """The log was lost, or is another one."""
    store, _ = settled()
    del store.log[4]
    with pytest.raises(CorruptError, match="entry 4 of t is gone"):
        follower(store).tail(TENANT)


def test_an_index_too_far_behind_is_told_apart_from_one_that_is_down() -> None:
    """Readers are refused with a wait; a worker brings it up to the log first."""
    store, worker = settled()
    behind(store, 0)
    reader = follower(store, longest=3)
    with pytest.raises(BehindError):
        reader.tail(TENANT)
    worker.ledger._follower = worker.projector._follower = follower(store, longest=3)
    store.accept(upload("i9", "b1"))
    worker.run(["i9"])
    assert (store.replicas[0].watermark, reader.tail(TENANT).lag) == (5, 0)


def test_advance_checks_the_chain() -> None:
    """The projected entries are one chain."""
    store, worker = settled()
    behind(store, 0)
    spoil(store, 2, previous="another")
    worker.projector._follower = follower(store)
    with pytest.raises(CorruptError):
        worker.projector.advance(TENANT)
    assert isinstance(store.log[2], Entry)


def test_an_older_version_stops_only_where_it_would_forget_a_hold() -> None:
    """It knows nothing of what is held, and would write the record down again without that."""
    store, worker = settled(1)
    for job in (
        operation("h", "edit", "i0", hold_until=LATER),
        operation("d", "decide", "i0", value="block"),
        operation("e", "edit", "i0", hold_until=None),
    ):
        store.accept(job)
        worker.run([job.job_id])
    assert [entry.format for _, entry in sorted(store.log.items())] == [1, 2, 2, 1]


def test_an_older_version_stops_at_a_variant() -> None:
    """It knows no such kind; entries without one, a hold included, keep their number."""
    store, worker = settled(3, "abc", VARIANT)
    for job in (
        operation("h", "edit", "i0", hold_until=LATER),
        operation("k", "edit", "i1", hold_until=LATER),
    ):
        store.accept(job)
        worker.run([job.job_id])
    assert [entry.format for _, entry in sorted(store.log.items())] == [1, 3, 1, 2, 3]


def test_a_record_of_before_there_were_holds_is_read() -> None:
    """It is not held."""
    store, _ = settled(1)
    (state,) = store.log[1].operations[0].states
    written = msgspec.to_builtins(state)
    del written["hold_until"]
    assert msgspec.convert(written, State) == state


def test_a_log_too_long_to_follow_is_not_read_to_its_end() -> None:
    """With an emptied index, every query would read thousands of entries in vain."""
    store, _ = settled(6)
    behind(store, 0)
    reader = follower(store, longest=4)
    read: list[int] = []
    log = Log(store)
    reader._log = log
    log.read = lambda tenant, seq: read.append(seq) or Log(store).read(tenant, seq)  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(BehindError):
        reader.tail(TENANT)
    assert read == [5]
    behind(store, 2)
    assert reader.tail(TENANT).lag == 4


def test_tails_of_idle_tenants_are_forgotten() -> None:
    """Each holds the last entry of its tenant, which may be a megabyte."""
    store, _ = settled()
    behind(store, 2)
    reader = follower(store, tenants=2)
    tail = reader.tail(TENANT)
    for other in ("a", "b"):
        reader.offer(tail._replace(tenant=other))
    assert reader.held(TENANT) is None
    assert reader.held("a") is not None
    assert reader.tail(TENANT).entries == tail.entries
    reader.passed(TENANT, 3)
    passed = reader.held(TENANT)
    assert passed is not None
    assert (passed.watermark, passed.entries) == (3, tail.entries[1:])
